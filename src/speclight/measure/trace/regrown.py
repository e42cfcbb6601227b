"""A draft tree out of a trace: what a growth makes of the laws that were recorded.

Free of torch and Transformers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.measure.trace.traced import TracedTree
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree, Growth, grown
from speclight.trees.tree_union import union_of

NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RegrownTree:
    """A tree, and the target's log-probability of the path to each of its nodes, [nodes], nats."""

    tree: DraftTree
    target_path_log_probs: FloatArray


def regrown(traced: TracedTree, growth: Growth) -> RegrownTree:
    """The tree of a growth, as it was drafted; one that was traced at its budget, or would be part of one.

    growth: begun at the traced tree's root, `traced.root`.
    Candidates that no traced tree holds are none of the tree's either, so that it is grown from the others
    as from all of them.
    """
    children = _children(traced)
    whole = DraftTree(traced.tokens, traced.parents, traced.drafter_log_probs)
    places = {tuple(whole.tokens[whole.path(node)[1:]].tolist()): node for node in range(len(whole))}

    def laws(known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        found = [children.get(places[known.token_path(node)], NOTHING) for node in nodes]
        return [CandidateLaw(traced.tokens[each], traced.drafter_log_probs[each]) for each in found]

    tree = grown(growth, laws).tree
    of_tree = union_of([whole, tree]).places[1]
    return RegrownTree(tree, traced.target_path_log_probs[of_tree])


def _children(traced: TracedTree) -> dict[int, IntArray]:
    """The children of each node that has some, in order of rank."""
    order = np.lexsort((traced.ranks, traced.parents))[1:]  # the root, whose parent is -1, comes first
    parents = traced.parents[order]
    return {parent: order[parents == parent] for parent in np.unique(parents).tolist()}
