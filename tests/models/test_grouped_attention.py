"""Folding query heads into rows is the same attention as repeating keys and values."""

import numpy as np
import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from speclight.models import grouped_attention as grouped
from speclight.models.grouped_attention import NAME, grouped_attention, use_grouped_attention
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import root_only
from toys import as_target, tiny_llama

# Float64; the same dot products in another order.
OUTPUT_ATOL = 1e-12


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize(
    ("heads", "groups", "new"), [(4, 4, 3), (6, 2, 1), (6, 2, 5), (9, 3, 7), (4, 1, 600)]
)
def test_equal_to_repeated_keys_and_values(heads, groups, new, device):
    """On a GPU, whichever of fused kernels and products is taken."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device)

    slots, size, batch = new + 11, 8, 2
    module = torch.nn.Module()
    module.num_key_value_groups = heads // groups
    query, key, value = (
        random(batch, heads, new, size),
        random(batch, groups, slots, size),
        random(batch, groups, slots, size),
    )
    visible = torch.rand(batch, 1, new, slots, generator=generator).to(device) < 0.5
    visible[..., 0] = True
    mask = torch.zeros(visible.shape, dtype=torch.float64, device=device).masked_fill(
        ~visible, torch.finfo(torch.float64).min
    )
    ours, _ = grouped_attention(module, query, key, value, mask, scaling=0.3)
    theirs, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=OUTPUT_ATOL)


def test_products_are_the_fused_attention():
    """What a GPU computes for few rows, here against torch's own function."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, rows, 8, generator=generator).double() for rows in (6, 20, 20))
    mask = torch.zeros(2, 1, 6, 20).double()
    mask[:, :, :, 13:] = torch.finfo(torch.float64).min
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    made = grouped._by_products(query, key, value, mask, 0.3)
    torch.testing.assert_close(made, expected, rtol=0, atol=OUTPUT_ATOL)
    unseen = grouped._by_products(query, key[:, :, :13], value[:, :, :13], mask[..., :13], 0.3)
    torch.testing.assert_close(made, unseen, rtol=0, atol=OUTPUT_ATOL)


def test_a_mask_is_folded_once_and_forgotten_with_it():
    held = len(grouped._FOLDED)
    mask = torch.arange(24.0).view(2, 1, 3, 4)
    folded = grouped._folded_mask(mask, 2)
    assert folded.tolist() == torch.cat((mask, mask), dim=2).tolist()
    assert grouped._folded_mask(mask, 2) is folded
    assert grouped._folded_mask(mask, 3).shape == (2, 1, 9, 4)
    assert grouped._folded_mask(torch.zeros(2, 1, 3, 4), 2).sum() == 0.0
    del mask
    assert len(grouped._FOLDED) == held


def test_masks_of_texts_side_by_side_are_aligned_copies_made_once():
    held = len(grouped._PIECES)
    mask = torch.arange(60.0).view(1, 1, 3, 20)
    of_rows, of_slots = [slice(0, 2), slice(2, 3)], [slice(0, 7), slice(7, 20)]
    pieces = grouped._mask_pieces(mask, of_rows, of_slots)
    for piece, rows, slots in zip(pieces, of_rows, of_slots, strict=True):
        assert piece.equal(mask[:, :, rows, slots])
        assert piece.is_contiguous()
        assert piece.data_ptr() % 16 == 0
    assert grouped._mask_pieces(mask, of_rows, of_slots) is pieces
    del mask
    assert len(grouped._PIECES) == held


def test_the_layers_of_a_pass_share_one(monkeypatch):
    made = []
    expand = torch.Tensor.expand
    monkeypatch.setattr(torch.Tensor, "expand", lambda x, *sizes: made.append(x.dim()) or expand(x, *sizes))
    text = ScoredText(as_target(tiny_llama(5, layers=4)), [1, 2, 3])
    for token in (3, 1, 4):
        made.clear()
        text.score(root_only(token))
        assert made.count(5) == 1
        text.commit(np.array([0]), [1 if token == 3 else 4])


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
