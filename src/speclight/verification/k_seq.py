"""SpecTr's k-seq: every independent draw is tried against the same scaled-down target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.theory.acceptance import division_factor
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.proposals import Proposals
from speclight.verification.residual import residual_law
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class KSeq:
    """Accepts each of the k draws at a node with min(1, p(x) / (rho q(x))) until one is accepted.

    rho in [1, k] is the smallest with 1 - (1 - beta)^k <= rho beta, beta = sum min(q, p / rho): see
    `division_factor`. Each try succeeds with chance beta, so token x is served with min(q, p / rho)(x) times
    sum_{j<k} (1 - beta)^j = (1 - (1 - beta)^k) / beta; the rest of p is the residual. Lossless for
    independent draws only, hence not for deterministic ones. Source: SpecTr, arXiv 2310.15141, Algorithm 3
    (k-SEQ).
    """

    name: str = "k_seq"
    is_lossless: bool = True
    draft_kinds: frozenset[DraftKind] = frozenset({"with_replacement"})

    def verify(self, tree: DraftTree, target_laws: TargetLaws, noise: Noise) -> Verdict:
        """See VerifyRule."""
        proposals = Proposals(tree)
        path = [0]
        while True:
            node = path[-1]
            law = target_laws(node)
            tries = list(proposals.after(node, len(law)))
            if not tries:
                return Verdict(np.array(path, dtype=np.int64), noise.sample(node, law))
            rho = division_factor(law, tries[0].law, len(tries))
            for proposal in tries:
                ratio = float(law[proposal.token]) / (rho * proposal.probability)
                if noise.accepts(proposal.coin, min(1.0, ratio)):
                    path.append(proposal.child)
                    break
            else:
                per_try = np.minimum(tries[0].law, law / rho)
                rounds = ((1.0 - float(per_try.sum())) ** np.arange(len(tries))).sum()
                token = noise.sample(node, residual_law(law, rounds * per_try))
                return Verdict(np.array(path, dtype=np.int64), token)
