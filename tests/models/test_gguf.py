"""GGUF files as people have them: what their metadata say is honoured, or refused by its name."""

import logging

import numpy as np
import pytest
import torch
from gguf import constants
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    CodeGenConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from cases import thinned
from models.tiny_gguf import (
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    KEY_HEADS,
    LAYERS,
    WINDOW,
    stored_tensors,
    vocabulary,
    write_tiny_gguf,
)
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound
from speclight.models.gguf_config import llama_config
from speclight.models.gguf_file import open_gguf
from speclight.models.gguf_keys import IRRELEVANT, PLAIN_VALUES, READ
from speclight.models.weights import load_weights

# Two float32 forward passes of the same weights by the same code.
SAME = {"rtol": 0, "atol": 0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path / "cache"))


def reference(rope=None, head_size=HIDDEN // HEADS):
    """A Llama of Transformers with random weights."""
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        head_dim=head_size,
        max_position_embeddings=WINDOW,
        rms_norm_eps=1e-5,
        rope_parameters=rope or {"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def llama_cpp_rows(weight, heads):
    """The order in which llama.cpp's converter writes the rows of query and key projections."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def as_gguf_tensors(model):
    names = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    tensors = {
        "token_embd.weight": state["model.embed_tokens.weight"],
        "output_norm.weight": state["model.norm.weight"],
    }
    for layer in range(LAYERS):
        for ours, theirs in names.items():
            weight = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                weight = llama_cpp_rows(weight, HEADS if theirs == "attn_q" else KEY_HEADS)
            tensors[f"blk.{layer}.{theirs}.weight"] = np.ascontiguousarray(weight)
    return tensors


def written(path, model, **options):
    return write_tiny_gguf(path, extra_tensors=as_gguf_tensors(model), quantised=False, **options)


def logits(model):
    tokens = torch.randint(0, len(vocabulary()), (1, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(tokens).logits


# Shards


@pytest.fixture
def shards(tmp_path):
    """All files of a model in 5 shards, and the model."""
    model = reference()
    first = written(tmp_path / "big.gguf", model, tensors_per_shard=4)
    paths = sorted(tmp_path.glob("big-*.gguf"))
    assert paths[0] == first
    assert len(paths) == 5
    return paths, model


def test_shards_are_read_as_one_model(shards):
    paths, model = shards
    loaded = load_weights(paths[0])
    torch.testing.assert_close(logits(loaded.model), logits(model), **SAME)
    assert loaded.name == "big, dequantised from F32"
    assert load_weights(paths[3]).weights_sha256 == loaded.weights_sha256


def test_a_missing_shard_is_named(shards):
    paths, _ = shards
    paths[2].unlink()
    with pytest.raises(ModelNotFound, match=r"big-00003-of-00005\.gguf does not lie beside it"):
        load_weights(paths[0])


def test_a_shard_under_another_name_says_what_it_is(shards, tmp_path):
    paths, _ = shards
    renamed = paths[1].rename(tmp_path / "part-two.gguf")
    with pytest.raises(InvalidInput, match=r"shard 2 of 5.*NAME-00002-of-00005\.gguf"):
        load_weights(renamed)


def test_exchanged_shards_are_refused(shards, tmp_path):
    paths, _ = shards
    aside = paths[1].rename(tmp_path / "aside")
    paths[2].rename(paths[1])
    aside.rename(paths[2])
    with pytest.raises(CorruptWeights, match="shard 3 of 5, expected what its name says"):
        load_weights(paths[0])


def test_a_changed_shard_is_another_model(shards):
    paths, _ = shards
    before = load_weights(paths[0]).weights_sha256
    content = bytearray(paths[4].read_bytes())
    content[-100] ^= 1
    paths[4].write_bytes(content)
    assert load_weights(paths[0]).weights_sha256 != before


# Rotary positions

LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}


@pytest.mark.parametrize(
    ("metadata", "rope"),
    [
        ({"llama.rope.scaling.type": "none"}, None),
        ({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, None),
        ({"llama.rope.scaling.type": "linear"}, None),
        ({"llama.rope.scale_linear": 1.0}, None),
        ({"llama.rope.scale_linear": 4.0}, LINEAR),
        ({"llama.rope.scaling.factor": 4.0}, LINEAR),
        ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, LINEAR),
        ({"llama.rope.dimension_count": 16}, None),
        ({"llama.expert_count": 0, "llama.expert_used_count": 0, "llama.logit_scale": 1.0}, None),
        ({"llama.attention.head_count_kv": [2, 2], "llama.vocab_size": 288}, None),
        ({"mradermacher.quantized_by": "somebody", "general.sampling.temp": 0.1}, None),
    ],
)
def test_metadata_give_the_logits_of_the_model_they_describe(tmp_path, metadata, rope):
    model = reference(rope)
    loaded = load_weights(written(tmp_path / "tiny.gguf", model, metadata=metadata))
    torch.testing.assert_close(logits(loaded.model), logits(model), **SAME)


def test_linear_scaling_changes_the_logits():
    assert not torch.allclose(logits(reference(LINEAR)), logits(reference()), rtol=0, atol=1)


def test_heads_longer_than_their_share_of_the_stream(tmp_path):
    model = reference(head_size=24)
    lengths = {
        f"llama.{key}": 24
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count")
    }
    loaded = load_weights(written(tmp_path / "long.gguf", model, metadata=lengths))
    torch.testing.assert_close(logits(loaded.model), logits(model), **SAME)


# Keys


@pytest.mark.parametrize(
    ("metadata", "error", "named"),
    [
        ({"llama.rope.dimension_count": 8}, InvalidInput, r"8 in heads of 16 \(partial rotary"),
        ({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}, InvalidInput, "'yarn'"),
        ({"llama.rope.scale_linear": -1.0}, CorruptWeights, "-1.0"),
        ({"llama.logit_scale": 0.25}, InvalidInput, r"llama\.logit_scale to 0\.25, expected 1\.0"),
        ({"llama.expert_count": 8}, InvalidInput, r"llama\.expert_count to 8"),
        ({"llama.attention.head_count_kv": [2, 1]}, InvalidInput, r"head_count_kv to \[2, 1\]"),
        ({"llama.attention.value_length": 8}, InvalidInput, "keys of 16 and values of 8"),
        ({"llama.vocab_size": 289}, CorruptWeights, "289 and there are 288 tokens"),
        ({"tokenizer.ggml.add_eos_token": True}, InvalidInput, "add_eos_token to True"),
        ({"general.type": "adapter"}, InvalidInput, "'adapter'"),
    ],
)
def test_what_is_not_served_is_refused_for_its_true_reason(tmp_path, metadata, error, named):
    with pytest.raises(error, match=named):
        load_weights(write_tiny_gguf(tmp_path / "odd.gguf", metadata=metadata))


def llama_cpp_keys():
    """Every key that gguf-py knows, for a Llama."""
    found = set()
    groups = [constants.Keys]
    while groups:
        for value in vars(groups.pop()).values():
            if isinstance(value, type):
                groups.append(value)
            elif isinstance(value, str) and "." in value and not value.startswith(("gguf.", "general.")):
                found.add(value.format(arch="llama", name="tool", id=0, dense="dense_2"))
    return sorted(found)


@pytest.mark.parametrize("step", thinned([7, 1]))
def test_no_key_of_llama_cpp_is_passed_over(tmp_path, caplog, step):
    """A value no plain model has: refused by its name, unless the key is read or says nothing about laws."""
    caplog.set_level(logging.ERROR)
    keys = llama_cpp_keys()
    assert len(keys) > 150
    assert set(READ | IRRELEVANT | set(PLAIN_VALUES)) - set(keys) <= KEYS_OF_LLAMA_CPP_ALONE
    for key in keys[::step]:
        if key in READ or key in IRRELEVANT or key == "tokenizer.chat_template.tool":
            continue
        path = write_tiny_gguf(tmp_path / "odd.gguf", metadata={key: 77}, without=tuple(stored_tensors(0)))
        with pytest.raises(InvalidInput, match=f"sets {key} to 77"):
            llama_config(open_gguf(path))


# In llama.cpp's own table (llama-arch.cpp) and not in gguf-py's, or of the kind that the test leaves out.
KEYS_OF_LLAMA_CPP_ALONE = {
    "general.architecture",
    "general.type",
    "llama.rope.scale_linear",
    "tokenizer.ggml.cls_token_id",
}


# Old safetensors


@pytest.mark.parametrize(
    ("config", "attention"),
    [
        (GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64), "transformer.h.{}.attn"),
        (GPTJConfig(n_embd=16, n_layer=2, n_head=2, n_positions=64, rotary_dim=4), "transformer.h.{}.attn"),
        (
            CodeGenConfig(n_embd=16, n_layer=2, n_head=4, n_positions=64, rotary_dim=4),
            "transformer.h.{}.attn",
        ),
        (
            GPTNeoConfig(hidden_size=16, num_layers=2, num_heads=2, attention_types=[[["global"], 2]]),
            "transformer.h.{}.attn.attention",
        ),
        (
            GPTNeoXConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32),
            "gpt_neox.layers.{}.attention",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_masks_that_old_checkpoints_keep_are_no_damage(tmp_path, config, attention):
    config.vocab_size, config.bos_token_id, config.eos_token_id = len(vocabulary()), 0, 2
    model = AutoModelForCausalLM.from_config(config).eval()
    folder = tmp_path / "old"
    model.save_pretrained(folder)
    tokenizer = load_weights(write_tiny_gguf(tmp_path / "tiny.gguf")).tokenizer
    tokenizer.save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    for layer in range(2):
        state[f"{attention.format(layer)}.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.uint8).tril()
        state[f"{attention.format(layer)}.masked_bias"] = torch.tensor(-1e4)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(logits(load_weights(folder).model), logits(model), **SAME)
    save_file(
        state | {"transformer.h.0.bias": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(CorruptWeights, match=r"1 unexpected keys.*transformer\.h\.0\.bias"):
        load_weights(folder)
