"""The configuration that Transformers needs, out of a GGUF's metadata."""

from __future__ import annotations

from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, LlamaConfig

from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.gguf_file import GgufFile
from speclight.models.gguf_keys import check_keys

LLAMA_CPP_ROPE_BASE = 10000.0  # what llama.cpp takes where a file names none


def llama_config(file: GgufFile) -> LlamaConfig:
    """The configuration of a plain Llama.

    Raises InvalidInput, naming what it is, for anything that makes the model another one, CorruptWeights for
    metadata that are missing or contradict each other.
    """
    _check_architecture(file)
    check_keys(file)
    tokens = len(file.values("tokenizer.ggml.tokens", str))
    if file.get("llama.vocab_size", int) not in (None, tokens):
        raise CorruptWeights(
            f"{file.path.name}: llama.vocab_size is {file.value('llama.vocab_size', int)} and there are "
            f"{tokens} tokens, expected the same number; get the file anew"
        )
    heads = _size(file, "attention.head_count")
    if heads < 1:
        raise _no_llama(file, f"{heads} attention heads")
    key_heads, intermediate = (
        _size(file, "attention.head_count_kv", heads),
        _size(file, "feed_forward_length"),
    )
    head_length, rope_parameters = _head_length(file, heads), _rope_parameters(file)
    try:
        return LlamaConfig(
            vocab_size=tokens,
            hidden_size=file.value("llama.embedding_length", int),
            intermediate_size=intermediate,
            num_hidden_layers=file.value("llama.block_count", int),
            num_attention_heads=heads,
            num_key_value_heads=key_heads,
            head_dim=head_length,
            max_position_embeddings=file.value("llama.context_length", int),
            rms_norm_eps=file.value("llama.attention.layer_norm_rms_epsilon", float),
            rope_parameters=rope_parameters,
            tie_word_embeddings=all(tensor.name != "output.weight" for tensor in file.tensors),
            bos_token_id=file.get("tokenizer.ggml.bos_token_id", int),
            eos_token_id=file.get("tokenizer.ggml.eos_token_id", int),
            pad_token_id=file.get("tokenizer.ggml.padding_token_id", int),
            dtype="float32",
            architectures=["LlamaForCausalLM"],
        )
    except (ValueError, ZeroDivisionError, StrictDataclassError) as error:
        raise _no_llama(file, str(error)) from error


def generation_config(file: GgufFile, config: LlamaConfig) -> GenerationConfig:
    """The tokens that begin and end a text; there may be several ends: of text, of a turn, of a message."""
    ends = [
        config.eos_token_id,
        *(file.get(f"tokenizer.ggml.{kind}_token_id", int) for kind in ("eot", "eom")),
    ]
    eos_token_ids = list(dict.fromkeys(token for token in ends if token is not None))
    return GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=eos_token_ids or None,
        pad_token_id=config.pad_token_id,
    )


def _no_llama(file: GgufFile, reason: str) -> CorruptWeights:
    return CorruptWeights(
        f"{file.path.name}: its metadata describe no Llama ({reason}), expected sizes that fit together; "
        "get the file anew"
    )


def _check_architecture(file: GgufFile) -> None:
    architecture = file.value("general.architecture", str)
    if architecture != "llama":
        raise InvalidInput(
            f"{file.path.name} is of architecture {architecture!r}, expected 'llama'; "
            "give the model's original folder (safetensors) instead"
        )


def _size(file: GgufFile, key: str, default: int | None = None) -> int:
    """A whole number that may be given for each layer: InvalidInput where the layers differ."""
    name = f"llama.{key}"
    if default is not None and not file.has(name):
        return default
    value = file.contents(name)
    if isinstance(value, list) and value:
        if len(set(value)) > 1:
            raise InvalidInput(
                f"{file.path.name} sets {name} to {value[:8]}, other layers differing, expected layers that "
                "are all alike; give the model's original folder (safetensors) instead"
            )
        return int(value[0])
    return file.value(name, int)


def _head_length(file: GgufFile, heads: int) -> int:
    keys, values, rotated = (
        file.get(f"llama.{key}", int)
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count")
    )
    equal_share = file.value("llama.embedding_length", int) // heads
    length = keys or equal_share
    if (values or equal_share) != length:
        raise InvalidInput(
            f"{file.path.name} has keys of {length} and values of {values or equal_share} numbers, expected "
            "both alike; give the model's original folder (safetensors) instead"
        )
    if rotated not in (None, length):
        raise InvalidInput(
            f"{file.path.name} sets llama.rope.dimension_count to {rotated} in heads of {length} (partial "
            "rotary positions), which no Llama of llama.cpp or Transformers has; expected all of it; "
            "give the model's original folder (safetensors) instead"
        )
    return length


def _rope_parameters(file: GgufFile) -> dict[str, Any]:
    """As llama.cpp reads them: linear scaling where a factor is given and no kind, by either of its keys."""
    kind = file.get("llama.rope.scaling.type", str) or "linear"
    base = file.get("llama.rope.freq_base", float) or LLAMA_CPP_ROPE_BASE
    factor = file.get("llama.rope.scaling.factor", float)
    if factor is None:
        factor = file.get("llama.rope.scale_linear", float)
    if kind not in ("none", "linear"):
        raise InvalidInput(
            f"{file.path.name} sets llama.rope.scaling.type to {kind!r}, expected 'none' or 'linear'; "
            "give the model's original folder (safetensors) instead"
        )
    if kind == "none" or factor in (None, 0.0, 1.0):
        return {"rope_type": "default", "rope_theta": base}
    if not factor > 0:
        raise CorruptWeights(
            f"{file.path.name}: its rotary scaling factor is {factor}, expected a positive number; "
            "get the file anew"
        )
    return {"rope_type": "linear", "rope_theta": base, "factor": factor}
