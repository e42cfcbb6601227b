"""Best-first growth of a draft tree under a node budget: the P most probable paths (Lemma 1)."""

from __future__ import annotations

import heapq
from collections.abc import Collection

import numpy as np

from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


class BestFirstGrowth:
    """Grows the tree of `node_budget` nodes whose path probabilities are largest, level by level.

    Lemma 1 of arXiv 2512.11718v1: with the target's own probabilities this tree maximises the expected
    number of tokens a call emits; with a drafter's, it maximises it under the drafter's law. Children are
    only known for nodes that have been expanded, so growth alternates between `unexpanded()`, which names
    every node of the present best tree whose children are still unknown (one batched model call), and
    `expand()`. When `unexpanded()` is empty the tree is final: a node outside the known ones has an
    ancestor among them that is at least as probable, so it cannot displace any of the best P.

    Ties are broken by smaller depth, then the parent's place in the tree, then the smaller token id, so
    that trees do not depend on the order of expansion.

    node_budget: P >= 1, root included. never_drafted: tokens that never become nodes (end of text).
    most_children: keep only this many best children of a node, >= 1; None keeps all that the budget can hold.
    Raises InvalidInput for a budget or most_children below 1.
    """

    def __init__(
        self,
        root_token: int,
        node_budget: int,
        never_drafted: Collection[int] = (),
        most_children: int | None = None,
    ) -> None:
        if node_budget < 1:
            raise InvalidInput(f"node_budget must be >= 1 (the root is counted), got {node_budget}")
        if most_children is not None and most_children < 1:
            raise InvalidInput(f"most_children must be >= 1 (None: no limit), got {most_children}")
        self.node_budget = node_budget
        self._most_children = node_budget - 1 if most_children is None else most_children
        self.known = GrowingTree(root_token)
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._children: dict[int, range] = {}  # expanded node -> its known children, best first
        self._best: list[int] | None = None
        self._tree: DraftTree | None = None

    def unexpanded(self) -> list[int]:
        """Nodes of the present best tree whose children must be looked at, in the tree's order.

        The last node of a full tree is left out: its children are no more probable than itself.
        """
        best = self._best_nodes()
        candidates = best[:-1] if len(best) == self.node_budget else best
        return [node for node in candidates if not self.is_expanded(node)]

    def is_expanded(self, node: int) -> bool:
        """Whether the law after `node` has been handed in."""
        return node in self._children

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth. Continuations of probability zero and tokens that are never drafted are left out."""
        count = min(self._most_children, self.node_budget - 1)
        best = law.likeliest(count, self._never_drafted)
        self._children[node] = self.known.add(node, best.tokens, best.log_probs)
        self._best = self._tree = None

    def tree(self) -> DraftTree:
        """The best tree among the nodes known so far, nodes in order of falling path probability."""
        if self._tree is None:
            best = self._best_nodes()
            place = {node: index for index, node in enumerate(best)}
            place[-1] = -1
            self._tree = DraftTree(
                tokens=np.array([self.known.tokens[node] for node in best]),
                parents=np.array([place[self.known.parents[node]] for node in best]),
                log_probs=np.array([self.known.log_probs[node] for node in best]),
            )
        return self._tree

    def _best_nodes(self) -> list[int]:
        if self._best is not None:
            return self._best
        best: list[int] = []
        # (-log-probability, depth, parent's place, token, node, rank among its siblings)
        heap = [(0.0, 0, -1, self.known.tokens[0], 0, 0)]
        while heap and len(best) < self.node_budget:
            _, _, parent_place, _, node, rank = heapq.heappop(heap)
            best.append(node)
            parent = self.known.parents[node]
            if parent >= 0:
                # Siblings are stored best first, so only the next one can be next in line.
                self._push(heap, parent, parent_place, rank + 1)
            self._push(heap, node, len(best) - 1, 0)
        self._best = best
        return best

    def _push(
        self, heap: list[tuple[float, int, int, int, int, int]], parent: int, parent_place: int, rank: int
    ) -> None:
        children = self._children.get(parent)
        if children is not None and rank < len(children):
            child, known = children[rank], self.known
            order = (-known.path_log_probs[child], known.depths[child], parent_place, known.tokens[child])
            heapq.heappush(heap, (*order, child, rank))
