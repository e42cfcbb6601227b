"""The traced trees of one drafter at every start, in the one order that all best-first growths share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.measure.trace.traced import TracedStart
from speclight.theory.compiled import compiled


@dataclass(frozen=True, slots=True, eq=False)
class OrderedTrees:
    """The traced trees of one drafter, one start after the other, nodes of each in the order of best-first.

    That order is by falling path probability under the drafter; ties by smaller depth, then the parent's
    place, then the rank, as in `BestFirstGrowth`. So parents stand before their children, and of any set of
    nodes that is closed towards the root the best P are the first P.

    begins: [starts + 1] where each start's nodes begin. parents: [nodes] within the start's own tree, -1 at
    its root. depths, ranks: [nodes] as in TracedTree. path_log_probs: [nodes] under the drafter, nats.
    probabilities: [nodes] of the path, under the target. followed: [nodes] whether the text runs through it.
    """

    begins: IntArray
    parents: IntArray
    depths: IntArray
    ranks: IntArray
    path_log_probs: FloatArray
    probabilities: FloatArray
    followed: BoolArray

    def __len__(self) -> int:
        return len(self.begins) - 1

    @property
    def rows(self) -> IntArray:
        """[nodes] number of the start that each node belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.begins))


def ordered_trees(starts: Sequence[TracedStart], drafter: str) -> OrderedTrees:
    """The trees of that drafter at these starts, all of which must have it."""
    trees = [start.drafters[drafter].tree for start in starts]
    begins = _begins([len(tree) for tree in trees])
    parents = np.concatenate([tree.parents for tree in trees])
    depths = np.concatenate([tree.depths for tree in trees])
    ranks = np.concatenate([tree.ranks for tree in trees])
    tokens = np.concatenate([tree.tokens for tree in trees])
    own, target = np.zeros(len(parents)), np.zeros(len(parents))
    compiled(_along_paths)(begins, parents, np.concatenate([tree.drafter_log_probs for tree in trees]), own)
    compiled(_along_paths)(begins, parents, np.concatenate([tree.target_log_probs for tree in trees]), target)
    followed = np.zeros(len(parents), dtype=bool)
    text = np.fromiter(chain.from_iterable(start.following for start in starts), dtype=np.int64)
    text_begins = _begins([len(start.following) for start in starts])
    compiled(_follow)(begins, parents, depths, tokens, text_begins, text, followed)

    firsts = np.repeat(begins[:-1], np.diff(begins))
    order = _best_first_order(firsts, firsts + np.maximum(parents, 0), depths, ranks, own)
    places = np.empty_like(order)
    places[order] = np.arange(len(order)) - firsts
    parents = np.where(parents < 0, -1, places[firsts + np.maximum(parents, 0)])
    return OrderedTrees(
        begins,
        parents[order],
        depths[order],
        ranks[order],
        own[order],
        np.exp(target[order]),
        followed[order],
    )


def _best_first_order(
    firsts: IntArray, parents: IntArray, depths: IntArray, ranks: IntArray, path_log_probs: FloatArray
) -> IntArray:
    """[nodes] the nodes in order. firsts: [nodes] the root of each node's tree; parents: [nodes] likewise."""
    in_level = np.zeros(len(depths), dtype=np.int64)  # place among the nodes of its depth, of all starts
    for depth in range(1, int(depths.max()) + 1):
        level = np.flatnonzero(depths == depth)
        above = in_level[parents[level]]
        order = np.lexsort((ranks[level], above, -path_log_probs[level], firsts[level]))
        in_level[level[order]] = np.arange(len(level))
    return np.lexsort((in_level, depths, -path_log_probs, firsts))


def _begins(lengths: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _along_paths(begins: IntArray, parents: IntArray, log_probs: FloatArray, totals: FloatArray) -> None:
    for start in range(len(begins) - 1):
        first = begins[start]
        for node in range(first + 1, begins[start + 1]):
            totals[node] = totals[first + parents[node]] + log_probs[node]


def _follow(
    begins: IntArray,
    parents: IntArray,
    depths: IntArray,
    tokens: IntArray,
    text_begins: IntArray,
    text: IntArray,
    followed: BoolArray,
) -> None:
    for start in range(len(begins) - 1):
        first, said = begins[start], text_begins[start]
        length = text_begins[start + 1] - said
        followed[first] = True
        for node in range(first + 1, begins[start + 1]):
            depth = depths[node]
            if depth <= length and followed[first + parents[node]]:
                followed[node] = tokens[node] == text[said + depth - 1]
