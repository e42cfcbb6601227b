"""Shapes for race drafts: the best rank tree, and parallel chains for list sampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.errors import InvalidInput
from speclight.theory.races.rank_tree import optimal_rank_tree
from speclight.trees.shapes import TreeShape, by_level


def rank_tree_shape(
    acceptance: Sequence[float], node_budget: int, *, needs_lower_ranks: bool = False
) -> TreeShape:
    """The best static tree of at most `node_budget` nodes (root included) for one law of the accepted rank.

    acceptance: [ranks] P(the candidate of rank m is the emitted token), rank 1 first. Nodes level by level;
    see `theory.rank_tree.optimal_rank_tree` for needs_lower_ranks and errors.
    """
    tree = optimal_rank_tree(np.array(acceptance), node_budget - 1, needs_lower_ranks=needs_lower_ranks)
    depths = np.zeros(len(tree), dtype=np.int64)
    for node in range(1, len(tree)):
        depths[node] = depths[tree.parents[node]] + 1
    order = np.lexsort((tree.ranks, depths))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    parents = np.append(-1, place[tree.parents[order[1:]]])
    return TreeShape(parents, np.maximum(tree.ranks[order] - 1, 0))


def parallel_chains(noise_sets: int, node_budget: int) -> TreeShape:
    """`noise_sets` chains of one length from the root, as long as the budget (root included) allows.

    Raises InvalidInput if there are no sets or the budget has no place for one node a chain.
    """
    if noise_sets < 1:
        raise InvalidInput(f"noise_sets must be >= 1, got {noise_sets}")
    length = (node_budget - 1) // noise_sets
    return by_level([noise_sets] + [1] * (length - 1)) if length else by_level([])
