"""Growth of every node whose path is likely enough: the tree that is best when nodes cost time."""

from __future__ import annotations

from collections.abc import Collection
from math import log

from speclight.checks import finite_number
from speclight.errors import InvalidInput
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


def check_least_probability(least_probability: float) -> None:
    """Raise InvalidInput outside (0, 1)."""
    expected, remedy = "a probability between 0 and 1", "a smaller one drafts more"
    probability = finite_number("least_probability", least_probability, expected, remedy)
    if not 0.0 < probability < 1.0:
        raise InvalidInput(f"got least_probability {probability}, expected {expected}; {remedy}")


class ThresholdGrowth:
    """Grows the tree of all nodes whose path probability exceeds `least_probability`, P of them at most.

    If a call takes T0 + tau |tree| seconds and the decode emits rho tokens per second, the best tree drafts v
    if and only if its probability exceeds rho tau: a node emits that many tokens more and takes tau seconds,
    in which rho tau tokens are emitted otherwise (docs/theory/seconds.md). So an easy context gets a large
    tree and a hard one the root alone. Where more than P nodes qualify, the likeliest P are kept, as in
    BestFirstGrowth. Source: ours.

    node_budget and never_drafted as in BestFirstGrowth. Raises InvalidInput for a budget below 1, or a
    probability outside (0, 1).
    """

    def __init__(
        self,
        root_token: int,
        node_budget: int,
        least_probability: float,
        never_drafted: Collection[int] = (),
    ) -> None:
        check_least_probability(least_probability)
        self._least = log(least_probability)
        self._seen = BestFirstGrowth(root_token, node_budget, never_drafted)

    @property
    def known(self) -> GrowingTree:
        """See Growth."""
        return self._seen.known

    def unexpanded(self) -> list[int]:
        """Nodes likely enough whose continuations may be, too."""
        return [node for node in self._seen.unexpanded() if self._is_likely(node)]

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._seen.expand(node, law)

    def tree(self) -> DraftTree:
        """The likely nodes among those known so far, in order of falling path probability."""
        best = self._seen.tree()
        # They fall along the tree's order, so the likely ones come first; the root always stays.
        kept = max(1, int((best.path_log_probs > self._least).sum()))
        return DraftTree(best.tokens[:kept], best.parents[:kept], best.log_probs[:kept])

    def _is_likely(self, node: int) -> bool:
        return self.known.path_log_probs[node] > self._least
