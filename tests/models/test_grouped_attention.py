"""Folding query heads into rows is the same attention as repeating keys and values."""

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from speclight.models.grouped_attention import NAME, grouped_attention, use_grouped_attention
from toys import tiny_llama

# Float64; the same dot products in another order.
OUTPUT_ATOL = 1e-12


@pytest.mark.parametrize(
    ("heads", "groups", "new"), [(4, 4, 3), (6, 2, 1), (6, 2, 5), (9, 3, 7), (4, 1, 600)]
)
def test_equal_to_repeated_keys_and_values(heads, groups, new):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    slots, size, batch = new + 11, 8, 2
    module = torch.nn.Module()
    module.num_key_value_groups = heads // groups
    query, key, value = (
        random(batch, heads, new, size),
        random(batch, groups, slots, size),
        random(batch, groups, slots, size),
    )
    visible = torch.rand(batch, 1, new, slots, generator=generator) < 0.5
    visible[..., 0] = True
    mask = torch.zeros(visible.shape, dtype=torch.float64).masked_fill(
        ~visible, torch.finfo(torch.float64).min
    )
    ours, _ = grouped_attention(module, query, key, value, mask, scaling=0.3)
    theirs, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=OUTPUT_ATOL)


def test_only_models_on_sdpa_are_switched():
    model = tiny_llama()
    model.set_attn_implementation("eager")
    use_grouped_attention(model)
    assert model.config._attn_implementation == "eager"
    model.set_attn_implementation("sdpa")
    use_grouped_attention(model)
    assert model.config._attn_implementation == NAME


def test_a_switched_model_still_runs_by_itself():
    model = tiny_llama(vocabulary_size=5).eval()
    ids = torch.tensor([[0, 1, 2, 3]])
    before = model(ids).logits
    use_grouped_attention(model)
    torch.testing.assert_close(model(ids).logits, before)
    assert model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0).shape == (1, 7)
