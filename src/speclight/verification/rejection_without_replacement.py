"""Recursive rejection of drafts sampled without replacement."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.rejection import reject_recursively
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RejectionWithoutReplacement:
    """As Rejection, for distinct siblings: draw i is tried against q renormalised on the undrawn tokens.

    Accepts x_i with min(1, p_i(x_i) / q_i(x_i)); p_{i+1} = norm (p_i - q_i)_+. Source: Recursive Speculative
    Decoding, arXiv 2402.14160. Deterministic drafts are legal, and treated as by Rejection.
    """

    name: str = "rejection_without_replacement"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = frozenset({"without_replacement", "deterministic"})

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        return reject_recursively(tree, target_laws, noise)
