"""From "which slot sees which" to the mask a Transformers model takes."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


def attention_mask_for(
    model: PreTrainedModel, visible: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """The additive mask [batch, 1, new, slots] in the model's dtype: 0 where visible, lowest elsewhere.

    A four-dimensional mask is taken by Transformers 5 as it is (masking_utils, early exit), so the tree's
    shape reaches the attention untouched. A floating mask serves both the sdpa and the eager attention.
    """
    dtype = model.dtype
    mask = torch.zeros(visible.shape, dtype=dtype)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    return mask[:, None].to(model.device)
