"""Several trees of one root laid over each other, so that what they share is looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import IntArray
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True, eq=False)
class TreeUnion:
    """Trees laid over each other.

    tree: all their nodes, each path once, in order of depth. places: for each of the trees, its nodes' places
    in `tree`.
    """

    tree: DraftTree
    places: tuple[IntArray, ...]


def union_of(trees: Sequence[DraftTree]) -> TreeUnion:
    """The union of trees that share their root's token (the first tree's is taken).

    A node has the log-probability that it has in the first of the trees that holds it.
    """
    tokens, parents, depths, log_probs = [int(trees[0].tokens[0])], [-1], [0], [0.0]
    children: dict[tuple[int, int], int] = {}
    places: list[list[int]] = []
    for tree in trees:
        own = [0]
        for node in range(1, len(tree)):
            above, token = own[int(tree.parents[node])], int(tree.tokens[node])
            if (above, token) not in children:
                children[above, token] = len(tokens)
                tokens.append(token)
                parents.append(above)
                depths.append(depths[above] + 1)
                log_probs.append(float(tree.log_probs[node]))
            own.append(children[above, token])
        places.append(own)
    order = np.argsort(depths, kind="stable")
    place = np.empty(len(order) + 1, dtype=np.int64)
    place[order], place[-1] = np.arange(len(order)), -1  # the root's parent -1 stays -1
    union = DraftTree(np.array(tokens)[order], place[np.array(parents)[order]], np.array(log_probs)[order])
    return TreeUnion(union, tuple(place[own] for own in places))
