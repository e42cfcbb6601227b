"""Recursive rejection of drafts sampled with replacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.proposals import Proposals
from speclight.verification.residual import residual_law
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Rejection:
    """Tries the draws x_1, x_2, .. at a node: accepts x_i with min(1, p_i(x_i) / q(x_i)), p_1 = p.

    p_{i+1} = norm (p_i - q)_+; after the last rejection the token is drawn from what is left. With one draw
    this is the rule of Leviathan et al. (arXiv 2211.17192) and Chen et al. (arXiv 2302.01318), with several
    SpecInfer's multi-step rule (arXiv 2305.09781), and "greedy speculative decoding" (GSD) of arXiv
    2504.15475 as far as its abstract tells (its body was not available: a reconstruction). A repeated draw
    is rejected with certainty, because p_i is 0 where something was rejected.

    Deterministic drafts are legal: each candidate is a draw from the one-hot law of itself, so it is
    accepted with probability p_i(x_i) and otherwise ruled out. That is target-sample match in law.
    """

    name: str = "rejection"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = frozenset({"with_replacement", "deterministic"})

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        return reject_recursively(tree, target_laws, noise)


def reject_recursively(tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
    """Recursive rejection, each candidate against the law it was drawn from given those before it.

    Every step is a maximal coupling of what the target has left with the proposal law, plus the residual, so
    the emitted token has the target's law for any proposal law that was fixed before its draw.
    """
    proposals = Proposals(tree)
    path = [0]
    while True:
        node = path[-1]
        law = target_laws(node)
        for proposal in proposals.after(node, len(law)):
            if noise.accepts(proposal.coin, min(1.0, float(law[proposal.token]) / proposal.probability)):
                path.append(proposal.child)
                break
            law = residual_law(law, proposal.law)
        else:
            return Verdict(np.array(path, dtype=np.int64), noise.sample(node, law))
