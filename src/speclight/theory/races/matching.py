"""Two exponential races run on the same noise: how often they agree, and how far apart they are.

Token i draws E_i ~ Exp(1); the target emits Y = argmin E_i / p_i, the drafter ranks tokens by E_i / q_i.
Two index conventions exist and have different laws; results for one are false for the other:

* distinct rank: place of Y in the drafter's order of distinct tokens (what a draft tree wants);
* arrival index: place of Y's first arrival among all arrivals of the drafter's Poisson processes, where
  a token may arrive again (candidates drawn with replacement; the index channel simulation codes).

Source: "Speculative Sampling via Exponential Races", arXiv 2504.15475. The body of that paper was not
available to us: the algorithms are a reconstruction from its abstract, and the closed forms here are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder, check_law_pair, likelihood_ratios

# Doubles held at once while summing over pairs of tokens: 4e6 of them are 32 MB.
PAIRS_AT_ONCE = 4_000_000


class RankConvention(StrEnum):
    """What R, the rank of the emitted token among the drafter's candidates, counts."""

    DISTINCT = "distinct rank: candidates without replacement, R in {1, ..., vocabulary}"
    WITH_REPLACEMENT = "arrival index: candidates with replacement, R unbounded"


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class RankLaw:
    """The law of R up to a largest rank.

    convention: what R counts. probabilities: [ranks] P(R = 1), P(R = 2), ... beyond: P(R > ranks),
    including the mass that no drafted candidate can ever reach (tokens the drafter gives probability 0).
    error: bound or estimate (the function that made the law says which) on sum |error of P(R = m)|.
    """

    convention: RankConvention
    probabilities: FloatArray
    beyond: float
    error: float

    def within(self, candidates: int) -> float:
        """P(R <= candidates): the chance that the emitted token is among the first candidates."""
        if not 0 <= candidates <= len(self.probabilities):
            raise InvalidInput(
                f"this law holds ranks 1..{len(self.probabilities)}, got {candidates} candidates; "
                "compute it to a larger rank"
            )
        return float(self.probabilities[:candidates].sum())


def match_probability(target: FloatArray, drafter: FloatArray) -> float:
    """P(both races have the same winner) = sum_j 1 / sum_i max(p_i / p_j, q_i / q_j). Exact, O(V log V).

    target, drafter: [vocabulary]. Origin: ours (the same number appears in the Gumbel-coupling literature,
    arXiv 2408.07978). It lies between (1 - TV) / (1 + TV) and 1 - TV.
    """
    return list_sampling_lower_bound(target, drafter, noise_sets=1)


def list_sampling_lower_bound(target: FloatArray, drafter: FloatArray, noise_sets: int) -> float:
    """Lower bound on the acceptance of list sampling with K noise sets (GLS, arXiv 2506.05632); K = 1 exact.

    sum_j K / (sum_i max(p_i / p_j, q_i / q_j) + (K - 1) / p_j). Derivation ours: draft k is the winner of
    its own noise under q, the target the winner of the smallest noise over all sets under p.
    """
    sets = check_count(noise_sets, "noise sets")
    pair = LikelihoodRatioOrder(target, drafter)
    p, q = pair.target[pair.order], pair.drafter[pair.order]
    # Multiplied through by p_j q_j, so that a ratio that overflows or is 0/0 never has to be formed.
    split = np.searchsorted(pair.ratios, pair.ratios, side="left")
    either = q * pair.target_after[split] + p * pair.drafter_before[split] + (sets - 1) * q
    # Both in at most the order of 1e-308: the token cannot be met and contributes nothing.
    shares = np.divide(sets * p * q, either, out=np.zeros_like(p), where=either > 0.0)
    return float(shares.sum())


def expected_distinct_rank(target: FloatArray, drafter: FloatArray) -> float:
    """E[R] = 1 + sum_j p_j sum_i a_ij / (1 + a_ij), a_ij = (q_i p_j / q_j - p_i)_+. Exact, O(V^2). Ours.

    inf where the target can emit a token that the drafter cannot propose (p_j > 0 = q_j).
    """
    target, drafter = check_law_pair(target, drafter)
    emitted = target > 0.0
    scales, weights = likelihood_ratios(target, drafter)[emitted], target[emitted]
    if np.isinf(scales).any():
        return float("inf")
    proposed = drafter > 0.0
    p, q = target[proposed], drafter[proposed]
    ahead, rows = 0.0, max(1, PAIRS_AT_ONCE // len(p))
    for start in range(0, len(scales), rows):
        excess = np.maximum(scales[start : start + rows, None] * q - p, 0.0)
        ahead += float(weights[start : start + rows] @ (excess / (1.0 + excess)).sum(axis=1))
    return 1.0 + ahead


def expected_arrival_index(target: FloatArray, drafter: FloatArray) -> float:
    """E[K] = 1 + sum_j p_j A(p_j / q_j) with A(c) = sum_i (c q_i - p_i)_+; inf if p_j > 0 = q_j. Ours."""
    pair = LikelihoodRatioOrder(target, drafter)
    emitted = pair.target[pair.order] > 0.0
    scales = pair.ratios[emitted]
    if np.isinf(scales).any():
        return float("inf")
    return 1.0 + float(pair.target[pair.order][emitted] @ pair.drafter_excess(scales))


def arrival_index_law(target: FloatArray, drafter: FloatArray, max_index: int) -> RankLaw:
    """Law of the arrival index K: P(K = m) = sum_j p_j A_j^(m-1) / (1 + A_j)^m, A_j = A(p_j / q_j).

    Exact up to rounding. Given Y = j the other tokens arrive before j at rate A_j against rate 1, so
    K - 1 is geometric and P(K = m) decreases in m. max_index: M >= 1, largest index listed. Origin: ours.
    """
    largest = check_count(max_index, "max_index")
    weights, excess = arrival_mixture(LikelihoodRatioOrder(target, drafter))
    probabilities, remaining = np.zeros(largest), weights / (1.0 + excess)
    for index in range(largest):
        probabilities[index] = float(remaining.sum())
        remaining = remaining * (excess / (1.0 + excess))
    beyond = max(0.0, 1.0 - float(probabilities.sum()))
    return RankLaw(RankConvention.WITH_REPLACEMENT, probabilities, beyond, error=0.0)


def arrival_mixture(pair: LikelihoodRatioOrder) -> tuple[FloatArray, FloatArray]:
    """K as a mixture of geometric laws: weights p_j, and A_j, the arrivals expected before that of Y = j.

    Tokens the drafter cannot propose are left out: their index is infinite.
    """
    reachable = (pair.target[pair.order] > 0.0) & np.isfinite(pair.ratios)
    return pair.target[pair.order][reachable], pair.drafter_excess(pair.ratios[reachable])
