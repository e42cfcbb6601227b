"""Growth that stops where a further level, or a further node, costs more than it brings."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from speclight.arrays import FloatArray
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree, Growth


class NodeWorth(Protocol):
    """Says which nodes of a deterministic tree pay. Log-probabilities are of paths, under the drafter."""

    def worth_expanding(self, path_log_probs: FloatArray, size: int) -> list[bool]:
        """[nodes] whether to look at the continuations of each; all of them are looked at in one call.

        size: nodes of the tree so far.
        """
        ...

    def worth_scoring(self, path_log_probs: FloatArray) -> int:
        """How many nodes to score, of those given in falling order with the root first; at least 1."""
        ...


class PacedGrowth:
    """Any growth of a deterministic tree, cut down to what is worth its cost.

    A level is asked for while `worth` says so of some node; of the tree that results the likeliest nodes are
    kept, as many as are worth scoring. A node is never likelier than its parent, so they are a tree.
    """

    def __init__(self, growth: Growth, worth: NodeWorth) -> None:
        self._growth, self._worth = growth, worth

    @property
    def known(self) -> GrowingTree:
        """See Growth."""
        return self._growth.known

    def unexpanded(self) -> list[int]:
        """The nodes that the growth asks for and that are worth it."""
        nodes = self._growth.unexpanded()
        if not nodes:
            return []
        log_probs = np.array([self.known.path_log_probs[node] for node in nodes])
        worth = self._worth.worth_expanding(log_probs, len(self._growth.tree()))
        return [node for node, pays in zip(nodes, worth, strict=True) if pays]

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._growth.expand(node, law)

    def tree(self) -> DraftTree:
        """The nodes worth scoring among those grown."""
        tree = self._growth.tree()
        # Stable, and parents stand before their children: where they tie, the parent stays first.
        order = np.argsort(-tree.path_log_probs, kind="stable")
        kept = np.sort(order[: self._worth.worth_scoring(tree.path_log_probs[order])])
        if len(kept) == len(tree):
            return tree
        place = {-1: -1, **{int(node): number for number, node in enumerate(kept)}}
        parents = np.array([place[int(tree.parents[node])] for node in kept])
        return DraftTree(tree.tokens[kept], parents, tree.log_probs[kept])
