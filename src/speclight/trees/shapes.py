"""Fixed tree shapes, and the deterministic tree of a shape: every node the top-ranked token of its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import IntArray
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TreeShape:
    """A tree without tokens. Node 0 is the root and is counted in the node budget.

    parents: [nodes] as in DraftTree. ranks: [nodes] place of each node's token among the candidates of its
    parent, 0 the most probable; 0 at the root. Siblings have distinct ranks.
    Raises InvalidInput if any of this does not hold. The arrays are copied and made read-only.
    """

    parents: IntArray
    ranks: IntArray

    def __post_init__(self) -> None:
        for name in ("parents", "ranks"):
            array = np.array(getattr(self, name), dtype=np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        # A shape is a draft tree whose tokens are ranks, with the same rules.
        DraftTree(self.ranks, self.parents, np.zeros(self.parents.shape))

    def __len__(self) -> int:
        return len(self.parents)

    def children(self, node: int) -> IntArray:
        """Children of a node, in the shape's order."""
        return np.flatnonzero(self.parents == node)

    def within(self, node_budget: int) -> TreeShape:
        """The first `node_budget` nodes. Raises InvalidInput for a budget below 1."""
        if node_budget < 1:
            raise InvalidInput(f"node_budget must be >= 1 (the root is counted), got {node_budget}")
        return TreeShape(self.parents[:node_budget], self.ranks[:node_budget])


def chain(drafted: int) -> TreeShape:
    """`drafted` tokens, each after the one before it. Raises InvalidInput below 0."""
    _check_count(drafted, "drafted")
    return TreeShape(np.arange(-1, drafted), np.zeros(drafted + 1, dtype=np.int64))


def batch(drafted: int) -> TreeShape:
    """`drafted` children of the root. Raises InvalidInput below 0."""
    return by_level([drafted])


def by_level(children: Sequence[int]) -> TreeShape:
    """children[d] children for every node of depth d: [2, 1] is two chains of two. Nodes level by level."""
    parents, ranks, level = [-1], [0], [0]
    for count in children:
        _check_count(count, "children of a node")
        following: list[int] = []
        for node in level:
            for rank in range(count):
                following.append(len(parents))
                parents.append(node)
                ranks.append(rank)
        level = following
    return TreeShape(np.array(parents), np.array(ranks))


def by_choices(choices: Collection[Sequence[int]]) -> TreeShape:
    """A shape given by the ranks along each path from the root, as the `medusa_choices` of arXiv 2401.10774.

    (0,) is the most probable first token, (0, 2) the third most probable one after it. Nodes are ordered by
    depth, then by ranks. Raises InvalidInput for an empty path, a repeated one, or one without its parent.
    """
    paths = sorted((tuple(path) for path in choices), key=lambda path: (len(path), path))
    place: dict[tuple[int, ...], int] = {(): 0}
    for path in paths:
        if path in place:
            raise InvalidInput(f"path {path} is given twice or empty; list every drafted node once")
        if path[:-1] not in place:
            raise InvalidInput(f"path {path} needs its parent {path[:-1]}; add it to the choices")
        place[path] = len(place)
    return TreeShape(
        parents=np.array([-1, *(place[path[:-1]] for path in paths)]),
        ranks=np.array([0, *(path[-1] for path in paths)]),
    )


class TopRankGrowth:
    """Grows the deterministic tree of a shape: each node is the token of its rank under its parent's law.

    Ties are broken by smaller token id. Where a law has too few candidates (probability zero is none), the
    node and all below it are left out. never_drafted: tokens that never become nodes (end of text).
    """

    def __init__(self, root_token: int, shape: TreeShape, never_drafted: Collection[int] = ()) -> None:
        self.known = GrowingTree(root_token)
        self._shape = shape
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._places = [0]  # node -> its place in the shape
        self._level = [0] if len(shape) > 1 else []

    def unexpanded(self) -> list[int]:
        """Nodes of the deepest level that the shape continues."""
        return list(self._level)

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        wanted = self._shape.children(self._places[node])
        candidates = law.likeliest(int(self._shape.ranks[wanted].max()) + 1, self._never_drafted)
        wanted = wanted[self._shape.ranks[wanted] < len(candidates.tokens)]
        ranks = self._shape.ranks[wanted]
        added = self.known.add(node, candidates.tokens[ranks], candidates.log_probs[ranks])
        self._places.extend(wanted.tolist())
        self._level.remove(node)
        self._level.extend(
            child for child, place in zip(added, wanted, strict=True) if len(self._shape.children(place))
        )

    def tree(self) -> DraftTree:
        """The tree; nodes in the shape's order if it goes level by level, as those made here do."""
        return DraftTree(
            np.array(self.known.tokens), np.array(self.known.parents), np.array(self.known.log_probs)
        )


def _check_count(count: int, what: str) -> None:
    if count < 0:
        raise InvalidInput(f"{what} must be a count >= 0, got {count}")
