"""Attention of one new token per row that reads grouped keys and values where they are.

Transformers' sdpa path first copies each key-value head once for every query head of its group. With one new
token for each of a hundred texts that copying takes longer than all else, so sampling brings this function.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

NAME = "speclight_grouped"


def grouped_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """query: [rows, heads, new, head size]; key, value: [rows, key-value heads, slots, head size].

    attention_mask: [rows, 1, new, slots], additive. The queries of a group stand side by side as if they were
    positions. Returns [rows, new, heads, head size], as Transformers' attention interface asks for.
    """
    rows, heads, new, size = query.shape
    groups = key.shape[1]
    side_by_side = query.reshape(rows, groups, (heads // groups) * new, size)
    mask = attention_mask.repeat(1, 1, heads // groups, 1)
    attended = scaled_dot_product_attention(side_by_side, key, value, attn_mask=mask, scale=scaling)
    return attended.reshape(rows, heads, new, size).transpose(1, 2), None


def use_grouped_attention(model: PreTrainedModel) -> None:
    """Switch a model to this attention; its results change by rounding only."""
    AttentionInterface.register(NAME, grouped_attention)
    model.set_attn_implementation(NAME)
