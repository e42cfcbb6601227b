"""Grouped-query attention under a mask without copying keys and values once per query head.

Transformers repeats the keys and values of every group when an explicit mask is given. With a cache of any
length that copy dominates a small pass: more than half the time of sampling a batch of 64 texts on a CPU.
Queries of one group are folded into rows instead; the arithmetic is the same, row by row.

Where a pass holds several texts one after the other, each is attended to by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "speclight_grouped"
# New tokens up to which a GPU computes attention as products; of more, a fused kernel saves the memory that
# scores take.
MOST_ROWS = 64
# Of each mask in use, its rows as often as a group has queries, and that number; gone when the mask is.
_FOLDED: MutableMapping[torch.Tensor, tuple[int, torch.Tensor]] = WeakTensorKeyDictionary()
# Of each mask of several texts in use, the mask of each text; gone when the mask is.
_PIECES: MutableMapping[torch.Tensor, list[torch.Tensor]] = WeakTensorKeyDictionary()
# All but cuDNN's, which makes a plan for every number of slots; a growing text has each but once. A pass of
# 2,048 rows through a model of the default target's sizes took 214 ms with it, 45 without (H200, bfloat16).
_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def growing_attention(device: torch.device) -> AbstractContextManager[object]:
    """Attention of texts that grow: while it lasts, no implementation that is slow for a new length."""
    return sdpa_kernel(_BACKENDS) if device.type == "cuda" else nullcontext()


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,  # whatever else the model's own attention call carries
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, [batch, new, heads, size] out; the signature Transformers calls.

    query: [batch, heads, new, size]. key, value: [batch, groups, slots, size]. attention_mask: additive,
    [batch, 1, new, slots], or None. Transformers' own function runs where folding would copy more.
    cu_seq_lens_q, cu_seq_lens_k (in Transformers' words): bounds of texts in new tokens and slots; the mask
    must let none see another.
    """
    parts = texts_of(query, key, value, attention_mask, kwargs)
    if parts is not None:
        attended = [
            grouped_attention(module, *part, dropout=dropout, scaling=scaling, **kwargs)[0] for part in parts
        ]
        return torch.cat(attended, dim=1), None
    _, heads, new, size = query.shape
    per_group = heads // key.shape[1]
    # Folding repeats the mask (per_group * new rows of it), not folding repeats keys and values.
    if attention_mask is None or per_group == 1 or per_group * new > 2 * heads * size:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    return _folded(query, key, value, attention_mask, dropout, scaling), None


def texts_of(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    others: dict[str, Any],
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]] | None:
    """Query, key, value and mask of each text of a pass over several, whose bounds leave `others`.

    None for a pass over one text, or without a mask.
    """
    new_bounds, slot_bounds = others.pop("cu_seq_lens_q", None), others.pop("cu_seq_lens_k", None)
    if new_bounds is None or slot_bounds is None or attention_mask is None:
        return None
    of_rows, of_slots = _slices(new_bounds), _slices(slot_bounds)
    masks = _mask_pieces(attention_mask, of_rows, of_slots)
    return [
        (query[:, :, rows], key[:, :, slots], value[:, :, slots], mask)
        for rows, slots, mask in zip(of_rows, of_slots, masks, strict=True)
    ]


def _folded(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    batch, heads, new, size = query.shape
    groups = key.shape[1]
    rows = heads // groups * new
    folded, mask = query.reshape(batch, groups, rows, size), _folded_mask(attention_mask, heads // groups)
    if query.device.type == "cuda" and new <= MOST_ROWS and not dropout:
        output = _by_products(folded, key, value, mask, size**-0.5 if scaling is None else scaling)
    else:
        output = torch.nn.functional.scaled_dot_product_attention(
            folded, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    return output.reshape(batch, heads, new, size).transpose(1, 2).contiguous()


def _by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    """[batch, groups, rows, size] attention as two products of matrices and a softmax.

    For few rows on a GPU: one row of 8 groups over 8,192 slots takes 324 microseconds in torch's fused kernel
    and 31 as products (H200, bfloat16).
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling + mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return torch.matmul(weights.to(value.dtype), value)


def _folded_mask(attention_mask: torch.Tensor, per_group: int) -> torch.Tensor:
    """[batch, 1, per_group * new, slots], made once for all layers of a pass: all are given the same mask."""
    known = _FOLDED.get(attention_mask)
    if known is None or known[0] != per_group:
        batch, _, new, slots = attention_mask.shape
        repeated = attention_mask[:, :, None].expand(-1, -1, per_group, -1, -1)
        known = _FOLDED[attention_mask] = per_group, repeated.reshape(batch, 1, per_group * new, slots)
    return known[1]


def _mask_pieces(
    attention_mask: torch.Tensor, of_rows: Sequence[slice], of_slots: Sequence[slice]
) -> list[torch.Tensor]:
    """The mask of each text, made once for all layers of a pass: all are given the same mask and bounds.

    Copies, so that each begins where memory is aligned: CUDA's efficient attention reads a mask in steps of
    16 bytes, and a view that begins elsewhere stops it with "misaligned address" (torch 2.11, H200).
    """
    if attention_mask not in _PIECES:
        pieces = [attention_mask[:, :, *places] for places in zip(of_rows, of_slots, strict=True)]
        _PIECES[attention_mask] = [piece.clone(memory_format=torch.contiguous_format) for piece in pieces]
    return _PIECES[attention_mask]


def _slices(bounds: torch.Tensor) -> list[slice]:
    return [slice(start, end) for start, end in itertools.pairwise(bounds.tolist())]


def use_grouped_attention(model: PreTrainedModel) -> None:
    """Switch a model that runs on Transformers' sdpa attention to this one; others are left as they are."""
    if model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
