"""The tokenizer of a GGUF: byte-level BPE behind the pre-tokenizer that the file names.

Transformers' own GGUF reader puts plain GPT-2 splitting in front of every BPE and so loses the splitting of
digits that SmolLM2 was trained with: "2025" would become one token the model has hardly seen in that place.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.gguf_file import GgufFile

# Token types of a GGUF vocabulary (llama.cpp, enum llama_token_type).
CONTROL = 3
USER_DEFINED = 4


def tokenizer_from_gguf(file: GgufFile, context_length: int) -> PreTrainedTokenizerFast:
    """Rebuild the tokenizer from a GGUF's vocabulary, merges, pre-tokenizer name and chat template.

    context_length: tokens; becomes the tokenizer's `model_max_length`.
    Raises InvalidInput for another tokenizer model or pre-tokenizer than known here (a near miss would
    change the text the model sees without a sound), CorruptWeights for contradictory metadata.
    """
    model = file.value("tokenizer.ggml.model", str)
    if model != "gpt2":
        raise InvalidInput(
            f"{file.path.name} has a tokenizer of kind {model!r}, expected 'gpt2' (byte-level BPE); "
            "give the model's original folder (safetensors and tokenizer.json) instead"
        )
    tokens = file.values("tokenizer.ggml.tokens", str)
    types = file.values("tokenizer.ggml.token_type", int)
    ids = {token: index for index, token in enumerate(tokens)}
    if len(types) != len(tokens) or len(ids) != len(tokens):
        raise CorruptWeights(
            f"{file.path.name}: {len(tokens)} tokens ({len(ids)} distinct) with {len(types)} types, expected "
            "as many distinct tokens as types; get the file anew"
        )
    merges = [_split_merge(file, merge) for merge in file.values("tokenizer.ggml.merges", str)]
    backend = Tokenizer(models.BPE(vocab=ids, merges=merges, fuse_unk=False, byte_fallback=False))
    backend.pre_tokenizer = _pre_tokenizer(file)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(_added(tokens, types, CONTROL))
    backend.add_tokens(_added(tokens, types, USER_DEFINED))
    if backend.get_vocab_size() != len(tokens):
        raise CorruptWeights(f"{file.path.name}: the rebuilt tokenizer has another size than its vocabulary")

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=_role_token(file, tokens, "bos"),
        eos_token=_role_token(file, tokens, "eos"),
        unk_token=_role_token(file, tokens, "unknown"),
        pad_token=_role_token(file, tokens, "padding"),
        add_bos_token=file.get("tokenizer.ggml.add_bos_token", bool) or False,
        chat_template=file.get("tokenizer.chat_template", str),
        clean_up_tokenization_spaces=False,  # decoding must give back the very text
        model_max_length=context_length,
    )


def load_tokenizer(
    name_or_folder: str | Path, *, trust_remote_code: bool, local_files_only: bool, revision: str = "main"
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id (there: of one commit): its tokenizer.json as written, if any.

    AutoTokenizer of Transformers 5 rebuilds the splitting rules from the class that tokenizer_config.json
    names, and for a GPT2Tokenizer that drops every rule the file has beside GPT-2's (SmolLM2's digits).
    Raises OSError or ValueError, as Transformers does, if there is no tokenizer.
    """
    try:
        return PreTrainedTokenizerFast.from_pretrained(
            name_or_folder,
            clean_up_tokenization_spaces=False,
            local_files_only=local_files_only,
            revision=revision,
        )
    except (OSError, ValueError):
        # No tokenizer.json: a SentencePiece or Python tokenizer, which only its own class can build.
        return AutoTokenizer.from_pretrained(
            name_or_folder,
            trust_remote_code=trust_remote_code,
            local_files_only=local_files_only,
            revision=revision,
        )


def _pre_tokenizer(file: GgufFile) -> pre_tokenizers.PreTokenizer:
    name = file.value("tokenizer.ggml.pre", str)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if name in ("gpt-2", "gpt2"):
        return byte_level
    if name == "smollm":
        # llama.cpp splits at every \p{N}, then by GPT-2's expression: `Digits` is the same set of characters.
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    raise InvalidInput(
        f"{file.path.name} names the pre-tokenizer {name!r}, expected 'smollm' or 'gpt-2'; "
        "give the model's original folder (safetensors and tokenizer.json) instead"
    )


def _role_token(file: GgufFile, tokens: list[str], role: str) -> str | None:
    key = f"tokenizer.ggml.{role}_token_id"
    index = file.get(key, int)
    if index is None:
        return None
    if not 0 <= index < len(tokens):
        raise CorruptWeights(
            f"{file.path.name}: {key} is {index}, expected 0..{len(tokens) - 1}; get the file anew"
        )
    return tokens[index]


def _split_merge(file: GgufFile, merge: str) -> tuple[str, str]:
    left, separator, right = merge.partition(" ")
    if not separator:
        raise CorruptWeights(f"{file.path.name}: merge {merge!r} is no pair; get the file anew")
    return left, right


def _added(tokens: list[str], types: list[int], kind: int) -> list[AddedToken]:
    special = kind == CONTROL
    return [
        AddedToken(token, special=special, normalized=False)
        for token, token_type in zip(tokens, types, strict=True)
        if token_type == kind
    ]
