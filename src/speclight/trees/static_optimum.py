"""The best fixed tree for a drafter known only by how often its candidates of each rank are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput

RankPath = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StaticTree:
    """A tree of ranks: which candidates to draft, whatever they turn out to be.

    paths: for each drafted node the ranks from the root to it (0 is a parent's best candidate), parents
    before their children; the root, the empty path, is left out. expected_tokens: tokens one call is
    expected to emit under the acceptance model, the target's own included.
    """

    paths: tuple[RankPath, ...]
    expected_tokens: float


def static_optimum(acceptance: Sequence[float], node_budget: int) -> StaticTree:
    """The tree of `node_budget` nodes with the largest expected number of tokens per call.

    The model: wherever a node was accepted, its child of rank r is the one accepted next with probability
    acceptance[r], the same at every depth and independent of everything else; then a node counts with the
    product of the acceptances along its ranks, and a tree with the sum over its nodes. A parent drafts its
    best candidates, so rank r is only there with all smaller ranks. Solved by dynamic programming over
    (nodes, rank): O(P^2 R); a falling vector would also be solved greedily by those products.

    acceptance: [ranks] each >= 0, sum <= 1 within rounding. node_budget: P >= 1, root included. The tree is
    smaller than P only if there are no ranks at all; nodes of value zero fill it up otherwise.
    Source: Chen et al. 2024, "Sequoia" (arXiv 2402.12374), section 4.1 (positional acceptance, there without
    the bound on depth). Raises InvalidInput outside these ranges.
    """
    vector = np.array(acceptance, dtype=np.float64)
    _check(vector, node_budget)
    ranks = len(vector)
    if ranks == 0 or node_budget == 1:
        return StaticTree((), 1.0)
    # forest[r][m]: best value of m nodes spread over subtrees below one node, the first of them at rank r.
    forest = np.full((ranks + 1, node_budget), -np.inf)
    forest[:, 0] = 0.0
    first_size = np.zeros((ranks, node_budget), dtype=np.int64)  # nodes of that first subtree
    subtree = np.zeros(node_budget + 1)  # [size] value of a subtree with its top node, which counts 1
    for nodes in range(1, node_budget):
        subtree[nodes] = 1.0 + forest[0, nodes - 1]
        sizes = np.arange(1, nodes + 1)
        for rank in range(ranks - 1, -1, -1):
            values = vector[rank] * subtree[sizes] + forest[rank + 1, nodes - sizes]
            best = int(np.argmax(values))
            forest[rank, nodes], first_size[rank, nodes] = values[best], sizes[best]
    paths = _paths(first_size, node_budget)
    return StaticTree(paths, 1.0 + float(forest[0, node_budget - 1]))


def _paths(first_size: IntArray, node_budget: int) -> tuple[RankPath, ...]:
    """The drafted nodes that the recorded choices stand for, by depth, then by rank."""
    paths: list[RankPath] = []
    open_forests: list[tuple[RankPath, int, int]] = [((), 0, node_budget - 1)]  # parent, first rank, nodes
    while open_forests:
        parent, rank, nodes = open_forests.pop()
        if nodes == 0:
            continue
        size = int(first_size[rank, nodes])
        child = (*parent, rank)
        paths.append(child)
        open_forests.append((child, 0, size - 1))
        open_forests.append((parent, rank + 1, nodes - size))
    return tuple(sorted(paths, key=lambda path: (len(path), path)))


SUM_ATOL = 1e-9  # acceptance rates are quotients of counts in float64


def _check(acceptance: FloatArray, node_budget: int) -> None:
    if node_budget < 1:
        raise InvalidInput(f"node_budget must be >= 1 (the root is counted), got {node_budget}")
    if acceptance.ndim != 1 or not (acceptance >= 0.0).all() or acceptance.sum() > 1.0 + SUM_ATOL:
        raise InvalidInput(
            f"an acceptance vector holds one rate >= 0 per rank, with sum <= 1, got {acceptance.tolist()}; "
            "give the share of calls in which the candidate of each rank was the accepted one"
        )
