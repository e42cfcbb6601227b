"""The states a drafter may ask for: before every layer, before the final norm and after it."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, Qwen3Config

from speclight.errors import InvalidInput
from speclight.models.layer_stack import layer_stack
from toys import as_target, tiny_llama

TEXT = [1, 5, 2, 9, 4]
LAYERS = 3
SIZES = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "vocab_size": 12}


def targets():
    small = {**SIZES, "intermediate_size": 24, "max_position_embeddings": 64}
    configs = (
        GPT2Config(n_embd=16, n_layer=LAYERS, n_head=4, vocab_size=12, n_positions=64),
        GPTNeoXConfig(**small),
        Qwen3Config(**small, num_key_value_heads=2, head_dim=4),
    )
    torch.manual_seed(0)
    models = [AutoModelForCausalLM.from_config(config) for config in configs]
    return [tiny_llama(12, layers=LAYERS), *models]


FINAL_NORMS = ("model.norm", "transformer.ln_f", "gpt_neox.final_layer_norm", "model.norm")


@pytest.mark.parametrize("place", range(len(FINAL_NORMS)))
def test_states_before_and_after_the_final_norm(place):
    """State L normed is state L + 1; state L + 1 through the output matrix is the logits."""
    model = targets()[place]
    for weight in model.get_submodule(FINAL_NORMS[place]).parameters():
        torch.nn.init.uniform_(weight, 0.5, 2.0)
    target = as_target(model)
    asked = (LAYERS, target.output_state, 0, 1)
    features = target.read(target.new_cache(), TEXT, 0, asked)
    stream, normed, first, second = features.features[0].chunk(4, dim=-1)
    with torch.inference_mode():
        expected = target.model.get_submodule(FINAL_NORMS[place])(stream)
        logits = target.model.get_output_embeddings()(normed)
        plain = target.model(torch.tensor([TEXT]), use_cache=False, output_hidden_states=True).hidden_states
    torch.testing.assert_close(normed, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(features.logits[0], logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(first, plain[0][0], rtol=0, atol=1e-12)
    torch.testing.assert_close(second, plain[1][0], rtol=0, atol=1e-12)
    assert (stream - normed).abs().max() > 0.1


def test_a_model_of_two_stacks_is_refused():
    model = tiny_llama(12, layers=LAYERS)
    model.second = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(LAYERS))
    with pytest.raises(InvalidInput, match=f"2 lists of {LAYERS} modules"):
        layer_stack(model, LAYERS)
