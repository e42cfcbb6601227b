"""Random EAGLE-3 heads for the toy target, written out in each dialect from one set of weights."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, INTERMEDIATE = 16, 4, 2, 4, 24
VOCABULARY, DRAFTED = 12, 7
LAYERS = (1, 2, 3)
# Rows 0.. of the head stand for these tokens of the target; not ascending, so that offsets may be negative.
TARGET_IDS = np.array([1, 3, 0, 4, 11, 7, 8])


def random_state(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def matrix(*shape):
        return torch.randn(shape, generator=generator) * 0.5

    shapes = {
        "fc": (HIDDEN, 3 * HIDDEN),
        "midlayer.self_attn.q_proj": (HEADS * HEAD_SIZE, 2 * HIDDEN),
        "midlayer.self_attn.k_proj": (KV_HEADS * HEAD_SIZE, 2 * HIDDEN),
        "midlayer.self_attn.v_proj": (KV_HEADS * HEAD_SIZE, 2 * HIDDEN),
        "midlayer.self_attn.o_proj": (HIDDEN, HEADS * HEAD_SIZE),
        "midlayer.mlp.gate_proj": (INTERMEDIATE, HIDDEN),
        "midlayer.mlp.up_proj": (INTERMEDIATE, HIDDEN),
        "midlayer.mlp.down_proj": (HIDDEN, INTERMEDIATE),
        "lm_head": (DRAFTED, HIDDEN),
    }
    state = {f"{name}.weight": matrix(*shape) for name, shape in shapes.items()}
    for name in ("hidden_norm", "input_layernorm", "post_attention_layernorm"):
        state[f"midlayer.{name}.weight"] = 1 + matrix(HIDDEN)
    state["norm.weight"] = 1 + matrix(HIDDEN)
    return state


def layer_section(**changes):
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_SIZE,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        **changes,
    }


def config_of(dialect, **changes):
    if dialect == "SafeAILab":
        # This dialect states no layers: 2, L // 2 and L - 3 are meant.
        return {
            **layer_section(),
            "architectures": ["LlamaForCausalLM"],
            "draft_vocab_size": DRAFTED,
            **changes,
        }
    if dialect == "SpecForge":
        return {
            **layer_section(),
            "architectures": ["LlamaForCausalLMEagle3"],
            "draft_vocab_size": DRAFTED,
            "eagle_config": {"eagle_aux_hidden_state_layer_ids": [layer - 1 for layer in LAYERS]},
            **changes,
        }
    return {
        "architectures": ["Eagle3Speculator"],
        "speculators_model_type": "eagle3",
        "transformer_layer_config": layer_section(),
        "draft_vocab_size": DRAFTED,
        "eagle_aux_hidden_state_layer_ids": list(LAYERS),
        **changes,
    }


def with_maps(state):
    members = torch.zeros(VOCABULARY, dtype=torch.bool)
    members[torch.from_numpy(TARGET_IDS)] = True
    return {**state, "d2t": torch.from_numpy(TARGET_IDS - np.arange(DRAFTED)), "t2d": members}


def write_head(folder, dialect, state=None, config=None, pickled=False):
    state = with_maps(random_state()) if state is None else state
    if dialect == "speculators":
        state = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or config_of(dialect)))
    if pickled:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    return folder
