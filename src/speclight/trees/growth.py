"""Best-first growth of a draft tree under a node budget: the P most probable paths (Lemma 1)."""

from __future__ import annotations

import heapq
from collections.abc import Collection

import numpy as np

from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree, FloatArray, IntArray


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
    Raises InvalidInput for a budget below 1.
    """

    def __init__(self, root_token: int, node_budget: int, never_drafted: Collection[int] = ()) -> None:
        if node_budget < 1:
            raise InvalidInput(f"node_budget must be >= 1 (the root is counted), got {node_budget}")
        self.node_budget = node_budget
        self.rounds = 0  # how many times children were asked for: one drafter or target call each
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._tokens = [root_token]
        self._parents = [-1]
        self._depths = [0]
        self._edges = [0.0]
        self._totals = [0.0]  # log-probability of the path from the root
        self._children: dict[int, range] = {}  # expanded node -> its known children, best first
        self._best: list[int] | None = None

    def unexpanded(self) -> list[int]:
        """Nodes of the present best tree whose children must be looked at, in the tree's order.

        The last node of a full tree is left out: its children are no more probable than itself.
        """
        best = self._best_nodes()
        candidates = best[:-1] if len(best) == self.node_budget else best
        nodes = [node for node in candidates if node not in self._children]
        self.rounds += bool(nodes)
        return nodes

    def expand(self, node: int, tokens: IntArray, log_probs: FloatArray) -> None:
        """Make the possible continuations of `node` known: [children] token ids and log-probabilities.

        Continuations of probability zero and tokens that are never drafted are left out.
        """
        keep = np.isfinite(log_probs) & ~np.isin(tokens, self._never_drafted)
        tokens, log_probs = tokens[keep], log_probs[keep]
        order = np.lexsort((tokens, -log_probs))[: self.node_budget - 1]
        first = len(self._tokens)
        self._tokens.extend(tokens[order].tolist())
        self._parents.extend([node] * len(order))
        self._depths.extend([self._depths[node] + 1] * len(order))
        self._edges.extend(log_probs[order].tolist())
        self._totals.extend((self._totals[node] + log_probs[order]).tolist())
        self._children[node] = range(first, first + len(order))
        self._best = None

    def path(self, node: int) -> list[int]:
        """Nodes from the root to `node`, both included."""
        nodes = [node]
        while self._parents[nodes[-1]] >= 0:
            nodes.append(self._parents[nodes[-1]])
        return nodes[::-1]

    def token(self, node: int) -> int:
        """Token of a node."""
        return self._tokens[node]

    def depth(self, node: int) -> int:
        """Number of edges between a node and the root."""
        return self._depths[node]

    def tree(self) -> DraftTree:
        """The best tree among the nodes known so far, nodes in order of falling path probability."""
        best = self._best_nodes()
        place = {node: index for index, node in enumerate(best)}
        place[-1] = -1
        return DraftTree(
            tokens=np.array([self._tokens[node] for node in best]),
            parents=np.array([place[self._parents[node]] for node in best]),
            log_probs=np.array([self._edges[node] for node in best]),
        )

    def _best_nodes(self) -> list[int]:
        if self._best is not None:
            return self._best
        best: list[int] = []
        # (-log-probability, depth, parent's place, token, node, next sibling's rank)
        heap = [(0.0, 0, -1, self._tokens[0], 0, 0)]
        while heap and len(best) < self.node_budget:
            _, _, parent_place, _, node, rank = heapq.heappop(heap)
            best.append(node)
            parent = self._parents[node]
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
            child = children[rank]
            entry = (
                -self._totals[child],
                self._depths[child],
                parent_place,
                self._tokens[child],
                child,
                rank,
            )
            heapq.heappush(heap, entry)
