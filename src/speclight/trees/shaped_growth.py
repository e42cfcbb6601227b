"""Trees grown into the places of a fixed shape, level by level, one candidate a place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from speclight.trees.draft_tree import DraftKind, DraftTree, SampledChildren
from speclight.trees.growing_tree import CandidateLaw, GrowingTree
from speclight.trees.shapes import TreeShape


class ShapedGrowth(ABC):
    """A growth whose nodes fill a shape's places; which candidate goes where its subclasses say in `expand`.

    Two places of one node with the same candidate are one node, which then also holds the places below both.
    kind: of the drafts. never_drafted: tokens that never become nodes (end of text).
    """

    def __init__(
        self, root_token: int, shape: TreeShape, kind: DraftKind, never_drafted: Collection[int]
    ) -> None:
        self.known = GrowingTree(root_token)
        self._shape = shape
        self._kind: DraftKind = kind
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._places = [[0]]  # node -> its places in the shape
        self._samples: dict[int, SampledChildren] = {}  # by node, of kinds that have them
        self._level = [0] if len(shape) > 1 else []

    def unexpanded(self) -> list[int]:
        """Nodes of the deepest level that the shape continues."""
        return list(self._level)

    @abstractmethod
    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""

    def tree(self) -> DraftTree:
        """The tree of all nodes known so far, nodes level by level."""
        nodes = len(self.known.tokens)
        return DraftTree(
            np.array(self.known.tokens),
            np.array(self.known.parents),
            np.array(self.known.log_probs),
            self._kind,
            None if self._kind == "race" else tuple(self._samples.get(node) for node in range(nodes)),
        )

    def _wanted(self, node: int) -> list[int]:
        """The places below those of the node, in the shape's order."""
        return [int(child) for place in self._places[node] for child in self._shape.children(place)]

    def _filled(
        self, node_of: Mapping[int, int], candidates: Sequence[int], places: Sequence[int]
    ) -> list[int]:
        """The nodes of the candidates that go to the places; node_of: of each, all of them new.

        Places beyond the last candidate stay empty.
        """
        self._places.extend([] for _ in node_of)
        nodes = [node_of[candidate] for candidate in candidates]
        for node, place in zip(nodes, places, strict=False):
            self._places[node].append(place)
        self._level.extend(
            node
            for node in node_of.values()
            if any(len(self._shape.children(place)) for place in self._places[node])
        )
        return nodes
