"""The interface of a verification rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, get_args

from speclight.arrays import FloatArray
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.verdict import Verdict

ANY_DRAFT: frozenset[DraftKind] = frozenset({"deterministic", "with_replacement", "without_replacement"})

# node -> [vocab] the target's law of the token after that node, processed (temperature, top-k, top-p),
# float64, sums to 1. A function, because processing a law costs time and few nodes are visited.
TargetLaws = Callable[[int], FloatArray]


class VerifyRule(Protocol):
    """Decides which drafted path the target emits, from the tree, the target's laws and noise."""

    @property
    def name(self) -> str:
        """The name used on the command line and in records."""
        ...

    @property
    def is_lossless(self) -> bool:
        """Whether emitted text has exactly the target's law. Tested for every rule that says so."""
        ...

    @property
    def draft_kinds(self) -> frozenset[DraftKind]:
        """The kinds of draft the rule is made for; decoding refuses any other."""
        ...

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """The verdict on one tree. Pure: equal arguments give equal verdicts."""
        ...


def default_kind(rule: VerifyRule) -> DraftKind:
    """The first kind of draft, in the order of `DraftKind`, that the rule verifies."""
    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    return next(kind for kind in kinds if kind in rule.draft_kinds)
