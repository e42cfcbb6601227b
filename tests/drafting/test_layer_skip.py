"""An early exit is the target cut off: same weights, its final norm on the states after some layers."""

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from speclight.drafting.layer_skip import early_exit, layers_by_default
from speclight.errors import InvalidInput
from toys import as_target, tiny_llama

TOKENS = [1, 0, 3, 2, 4]
LOGIT_ATOL = 1e-10  # float64; the same products, here in one pass and there cut at a layer
SIZES = {
    "vocab_size": 5,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "eos_token_id": None,
    "bos_token_id": None,
    "pad_token_id": None,
}


def gpt2():
    config = GPT2Config(
        vocab_size=5, n_embd=16, n_layer=4, n_head=4, n_positions=64, eos_token_id=None, bos_token_id=None
    )
    return GPT2LMHeadModel(config)


MODELS = {
    "llama": lambda: tiny_llama(5, layers=4),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        )
    ),
    "gpt2": gpt2,
}


def logits_of(target):
    return target.model(torch.tensor([TOKENS]), use_cache=False).logits[0].numpy()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_the_target_without_its_last_layers(name, layers):
    torch.manual_seed(0)
    target = as_target(MODELS[name]())
    before = logits_of(target)
    exit_model = early_exit(target, layers)
    # The layers that are left out, made to do nothing: what a residual block adds, scaled by zero.
    reference = early_exit_by_zeroing(target, layers)
    np.testing.assert_allclose(logits_of(exit_model), reference, rtol=0, atol=LOGIT_ATOL)
    np.testing.assert_array_equal(logits_of(target), before)
    assert (exit_model.layers, target.layers) == (layers, 4)
    assert len(exit_model.new_cache().path_layers) == layers


def early_exit_by_zeroing(target, layers):
    """Logits with every later layer replaced by the identity, through hooks on the untouched target."""
    stack = target.model.model.layers if hasattr(target.model, "model") else target.model.transformer.h

    def as_it_came(module, positional, output):
        return positional[0]

    hooks = [layer.register_forward_hook(as_it_came) for layer in stack[layers:]]
    try:
        return logits_of(target)
    finally:
        for hook in hooks:
            hook.remove()


def test_all_weights_are_shared():
    target = as_target(tiny_llama(5, layers=4))
    exit_model = early_exit(target, 2)
    of_target = {id(weight) for weight in target.model.parameters()}
    assert {id(weight) for weight in exit_model.model.parameters()} < of_target


def test_the_default_leaves_some_layers_out():
    assert layers_by_default(as_target(tiny_llama(5, layers=4))) == 3
    assert layers_by_default(as_target(tiny_llama(5, layers=2))) == 1


@pytest.mark.parametrize("layers", [0, 4, 9])
def test_numbers_of_layers_that_make_no_drafter(layers):
    with pytest.raises(InvalidInput, match="expected 1 to 3"):
        early_exit(as_target(tiny_llama(5, layers=4)), layers)


def test_an_architecture_without_one_list_of_layers():
    target = as_target(tiny_llama(5, layers=4))
    target.model.another = torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(4)])
    with pytest.raises(InvalidInput, match="2 lists of 4 modules"):
        early_exit(target, 2)
