"""Who sees whom: masks [new, slots], True where the row's new token attends to the column's slot.

Slots are those of a key-value cache: the filled ones first, then one for each new token in its order. Every
token sees itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from speclight.trees.attention import ancestor_mask
from speclight.trees.draft_tree import DraftTree


def causal(new: int, filled: int = 0) -> torch.Tensor:
    """[new, filled + new] of a text read on: each token sees all that stands before it."""
    return torch.ones(new, filled + new, dtype=torch.bool).tril(diagonal=filled)


def below(
    ends: Sequence[int] | torch.Tensor, slots: int, paths: Sequence[Sequence[int]] = ()
) -> torch.Tensor:
    """[new, slots] of tokens that hang below a text: each sees the text's first slots and its own path.

    ends: [new] how many slots of the text each sees. paths: [new] slots of each besides those, its own
    included where it does not stand in the text; none for tokens of the text.
    """
    visible = torch.arange(slots)[None] < torch.as_tensor(ends)[:, None]
    for row, path in enumerate(paths):
        visible[row, list(path)] = True
    return visible


def near(positions: torch.Tensor, slot_positions: torch.Tensor, window: int) -> torch.Tensor:
    """[..., new, slots] of layers that look back no further than a window: less than its length away.

    positions: [..., new] of the new tokens. slot_positions: [..., slots] of what the slots hold.
    """
    return positions[..., :, None] - slot_positions[..., None, :] < window


def of_trees(trees: Sequence[DraftTree], committed: Sequence[int]) -> torch.Tensor:
    """[all nodes, all slots] of draft trees after several texts: a node sees its text and its ancestors.

    committed: slots of each tree's text. Rows tree by tree; columns text by text, each with its tree behind.
    """
    blocks: list[torch.Tensor] = []
    for tree, read in zip(trees, committed, strict=True):
        block = np.ones((len(tree), read + len(tree)), dtype=np.bool_)
        block[:, read:] = ancestor_mask(tree)
        blocks.append(torch.from_numpy(block))
    return side_by_side(blocks)


def side_by_side(texts: Sequence[torch.Tensor]) -> torch.Tensor:
    """[all new, all slots] of several texts in one pass, none of which sees another; texts: of each alone."""
    return texts[0] if len(texts) == 1 else torch.block_diag(*texts)
