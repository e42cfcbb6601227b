"""From "which slot sees which" to the mask a Transformers model takes."""

from __future__ import annotations

from functools import cache

import torch

from speclight.models.attention_layout import AttentionLayout
from speclight.models.visibility import near

AttentionMask = torch.Tensor | dict[str, torch.Tensor]


def attention_mask_for(
    layout: AttentionLayout,
    visible: torch.Tensor,
    positions: torch.Tensor,
    slot_positions: torch.Tensor,
    dtype: torch.dtype,
) -> AttentionMask:
    """The additive mask [batch, 1, new, slots]: 0 where visible, the type's lowest number elsewhere.

    visible: [batch, new, slots] bool, before any window. positions: [batch, new] of the new tokens.
    slot_positions: [batch, slots] of the tokens in the slots, the new ones included: a window reaches back
    over positions, and in a tree neighbouring slots may hold one position several times.

    Transformers 5 takes a four-dimensional mask as it is (masking_utils, early exit), so the tree's shape
    reaches the attention untouched; models with layers of both kinds take one mask by kind. A floating mask
    serves both the sdpa and the eager attention.
    """
    masks = {"full_attention": visible} if "full_attention" in layout.kinds else {}
    if layout.window is not None:
        masks["sliding_attention"] = visible & near(positions, slot_positions, layout.window)
    additive = {kind: _additive(mask, dtype) for kind, mask in masks.items()}
    return additive if len(additive) > 1 else next(iter(additive.values()))


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.where(visible, *_values(dtype, visible.device))[:, None]


@cache
def _values(dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What is added where a slot is visible, and elsewhere; kept: to make them takes longer than a mask."""
    return torch.zeros((), dtype=dtype, device=device), torch.full(
        (), torch.finfo(dtype).min, dtype=dtype, device=device
    )
