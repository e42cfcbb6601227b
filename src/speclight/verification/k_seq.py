"""SpecTr's k-seq: every independent draw is tried against the same scaled-down target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import Noise
from speclight.verification.proposals import Proposals
from speclight.verification.residual import residual_law
from speclight.verification.rule import TargetLaws
from speclight.verification.verdict import Verdict


@dataclass(frozen=True, slots=True)
class KSeq:
    """Accepts each of the k draws at a node with min(1, p(x) / (rho q(x))) until one is accepted.

    rho in [1, k] is the smallest with 1 - (1 - beta)^k <= rho beta, beta = sum min(q, p / rho). Each try
    succeeds with chance beta, so token x is served with min(q, p / rho)(x) times sum_{j<k} (1 - beta)^j =
    (1 - (1 - beta)^k) / beta; the rest of p is the residual. Lossless for independent draws only, hence not
    for deterministic ones. Source: SpecTr, arXiv 2310.15141 (k-SEQ).
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


def division_factor(target: FloatArray, drafter: FloatArray, tries: int) -> float:
    """The rho of KSeq, as `theory.acceptance.division_factor` finds it, in O(V) for large vocabularies.

    Halves [1, k] down to neighbouring floats and returns the upper end, so that the residual is not negative.
    A token whose p/q is outside the interval left is on one side for good and is summed once.
    """

    def is_enough(rho: float, beta: float) -> bool:
        return rho * beta >= 1.0 - (1.0 - min(beta, 1.0)) ** tries

    if is_enough(1.0, float(np.minimum(target, drafter).sum())):
        return 1.0
    low, high = 1.0, float(tries)
    drawable = drafter > 0.0
    target, drafter = target[drawable], drafter[drawable]
    with np.errstate(over="ignore"):  # a subnormal q sends the ratio to inf, which is where it belongs
        ratios = target / drafter
    target_below = drafter_above = 0.0  # p of tokens with p/q <= low, q of those with p/q > high
    while True:
        rho = low + (high - low) / 2.0
        if rho in (low, high):
            return high
        below = ratios <= rho
        target_now = target_below + float(target[below].sum())
        drafter_now = drafter_above + float(drafter[~below].sum())
        if is_enough(rho, target_now / rho + drafter_now):
            high, drafter_above, undecided = rho, drafter_now, below
        else:
            low, target_below, undecided = rho, target_now, ~below
        target, drafter, ratios = target[undecided], drafter[undecided], ratios[undecided]
