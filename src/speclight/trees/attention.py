"""What a tree looks like to attention: who sees whom, and at which position."""

from __future__ import annotations

import numpy as np

from speclight.arrays import BoolArray, IntArray
from speclight.trees.draft_tree import DraftTree


def ancestor_mask(tree: DraftTree) -> BoolArray:
    """[nodes, nodes] True where the column's node is the row's node or one of its ancestors."""
    mask = np.eye(len(tree), dtype=np.bool_)
    for node in range(1, len(tree)):
        mask[node] |= mask[tree.parents[node]]
    return mask


def position_ids(tree: DraftTree, root_position: int) -> IntArray:
    """[nodes] position of each node in its own text: siblings share one."""
    return root_position + tree.depths
