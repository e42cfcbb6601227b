"""Best-first growth within EAGLE-2's limits on depth and width."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from speclight.checks import check_whole_numbers
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


@dataclass(frozen=True, slots=True)
class GrowthLimits:
    """What a drafter may look at while it grows a tree.

    max_depth: edges from the root to the deepest node. children_per_node: most probable continuations looked
    at after each expanded node. expanded_per_level: nodes of one level whose continuations are looked at.
    The defaults are those of EAGLE-2's code (top_k 10, depth 5 after the first level: six levels).
    Source: Li et al. 2024, "EAGLE-2" (arXiv 2406.16858), sections 4.1 and 4.2. Raises InvalidInput below 1.
    """

    max_depth: int = 6
    children_per_node: int = 10
    expanded_per_level: int = 10

    def __post_init__(self) -> None:
        check_whole_numbers(self, "max_depth", "children_per_node", "expanded_per_level")


class LimitedGrowth:
    """The best tree of P nodes among those that EAGLE-2's expansion gets to see.

    Level by level, the `expanded_per_level` most probable paths of the newest level are continued by their
    `children_per_node` most probable tokens, down to `max_depth`; then all nodes seen are ranked by path
    probability and the best P kept. Under the drafter's own law it is therefore never better than
    BestFirstGrowth, and equal to it where the limits do not bind.

    One saving over the published procedure, without effect on the tree: a node that is not among the best P
    seen so far is not expanded, because none of its descendants could get there. So a level's cost is at
    most min(expanded_per_level, P - 1) nodes.

    node_budget and never_drafted as in BestFirstGrowth. Raises InvalidInput for a budget below 1.
    """

    def __init__(
        self,
        root_token: int,
        node_budget: int,
        limits: GrowthLimits,
        never_drafted: Collection[int] = (),
    ) -> None:
        self._limits = limits
        self._seen = BestFirstGrowth(root_token, node_budget, never_drafted, limits.children_per_node)
        self._level = 0
        self._waiting = self._newest_level()

    @property
    def known(self) -> GrowingTree:
        """See Growth."""
        return self._seen.known

    def unexpanded(self) -> list[int]:
        """The most probable nodes of the newest level, while it is not the last one allowed."""
        return list(self._waiting)

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._seen.expand(node, law)
        self._waiting.remove(node)
        if not self._waiting:
            self._level += 1
            self._waiting = self._newest_level()

    def tree(self) -> DraftTree:
        """See Growth."""
        return self._seen.tree()

    def _newest_level(self) -> list[int]:
        if self._level >= self._limits.max_depth:
            return []
        newest = [node for node in self._seen.unexpanded() if self.known.depths[node] == self._level]
        # The best tree lists its nodes by falling path probability, so the first ones are the level's best.
        return newest[: self._limits.expanded_per_level]
