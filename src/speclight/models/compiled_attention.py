"""Attention of few new tokens to a text, by loops compiled for this machine, on all of torch's threads.

Of few rows torch's own attention takes most of its time to begin with, and reads keys and values slower than
memory gives them.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from speclight.models.compiled_rows import bits_of, needs_gradients
from speclight.models.grouped_attention import NAME as GROUPED
from speclight.models.grouped_attention import grouped_attention, texts_of
from speclight.models.kernel_cache import kept_kernels
from speclight.models.openmp import ParallelLoop, known_to_the_compiler

NAME = "speclight_compiled"
# New tokens; of more, torch's own is as fast (benchmarks/bench_attention.py).
MOST_NEW = 64
# What the loops are made for: slots that are scored at once, and numbers of a value that are summed at once.
SLOTS, PART = 8, 16


def compiled_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """See `grouped_attention`, which computes what the loops are not for, such as many new tokens."""
    parts = texts_of(query, key, value, attention_mask, kwargs)
    if parts is not None:
        attended = [
            compiled_attention(module, *part, dropout=dropout, scaling=scaling, **kwargs)[0] for part in parts
        ]
        return torch.cat(attended, dim=1), None
    if attention_mask is None or kwargs or dropout or not _can_attend(query, key, value, attention_mask):
        return grouped_attention(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    _, heads, new, size = query.shape
    _, groups, slots, _ = key.shape
    output = query.new_empty((1, new, heads, size))
    per_head, per_token = query.stride()[1:3]
    numbers = (ctypes.c_int64 * 10)(
        heads,
        groups,
        new,
        slots,
        size,
        per_head,
        per_token,
        key.stride(1),
        value.stride(1),
        bits_of(size**-0.5 if scaling is None else scaling),
    )
    held = (query.data_ptr(), key.data_ptr(), value.data_ptr(), attention_mask.data_ptr(), output.data_ptr())
    _loops()((ctypes.c_void_p * 6)(ctypes.addressof(numbers), *held))
    return output, None


def _can_attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> bool:
    """Whether the loops, which know addresses alone, are for this attention and may read it."""
    batch, _, new, size = query.shape
    slots = key.shape[2]
    tensors = (query, key, value, mask)
    return (
        batch == 1
        and new <= MOST_NEW
        and slots >= SLOTS
        and size % PART == 0
        and all(tensor.dtype == torch.float32 and tensor.is_cpu for tensor in tensors)
        and query.stride(3) == 1
        and key.stride()[2:] == value.stride()[2:] == (size, 1)
        and mask.shape == (1, 1, new, slots)
        and mask.is_contiguous()
        and not needs_gradients(tensors)
    )


@cache
def _loops() -> ParallelLoop:
    """Compiled where nothing is kept."""
    with known_to_the_compiler(), kept_kernels():
        from speclight.models.attention_kernels import share_of_attention
    return ParallelLoop(share_of_attention.address)


def use_compiled_attention(model: PreTrainedModel) -> None:
    """Switch a model that runs on `grouped_attention` to this one; others are left as they are."""
    if model.config._attn_implementation != GROUPED:
        return
    AttentionInterface.register(NAME, compiled_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
