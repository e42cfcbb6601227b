"""The race rule for candidates with replacement: arrivals of the drafter's Poisson processes."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.race import follow_winners
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RaceWithReplacement:
    """As the race rule, on drafts whose candidates are the first arrivals, a token possibly more than once.

    Token i arrives at the partial sums of Exp(1) gaps over q(i); the first arrivals are the times of the race
    without replacement, so the text is the same. The index of the emitted token among all arrivals is the one
    that channel simulation codes and that D_KL(p || q) bounds; its distinct rank is never larger, so
    candidates with replacement are worse for speed. Reconstruction: see Race.
    """

    name: str = "race_with_replacement"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = frozenset({"race_with_replacement", "deterministic"})

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        return follow_winners(tree, target_laws, noise)
