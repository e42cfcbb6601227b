"""Drafters that know only their own law q: Lemma 7 of arXiv 2512.11718v1 as printed, and corrected.

The tree holds the P nodes of largest Q(v), the product of q along the path; the target accepts by p.
eps is the probability that the target's token has q = 0 (it cannot be drafted), m the mean of -ln q over
the others with misses counted as 0: m = E[sum over q > 0 of -p ln q].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log

import numpy as np
import numpy.typing as npt

from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_moments, check_node_budget
from speclight.theory.iid.renewal import refined_node_count
from speclight.theory.information import check_laws, surprisals
from speclight.theory.laws.step_law import StepLaw

_PAIRS = (Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_PAIRS, Assumption.INFINITE_TREE)
_FINITE = "every P >= 1; 1 where the formula is smaller"
# A float32 softmax misses 1 by 1e-7: hits below ten times that are no hits.
_ALWAYS_MISSES = 1e-6
_THRESHOLDS = 4096  # every t gives a valid bound: a grid this fine loses less than 0.1% of the maximum


@dataclass(frozen=True, slots=True)
class DrafterMoments:
    """What Lemma 7 needs to know of a target and a drafter, with the paper's three readings of mu_CE.

    miss_probability: eps. cross_entropy_on_hits: m, nats. mean_ratio: the mean over contexts of
    (sum over q > 0 of -p ln q)/(sum over q > 0 of p), the display of the paper; contexts that always miss
    have no ratio and are left out.
    """

    miss_probability: float
    cross_entropy_on_hits: float
    mean_ratio: float

    @property
    def conditional(self) -> float:
        """E[-ln q | q > 0] = m/(1 - eps), the paper's words; equals mean_ratio for constant miss mass."""
        hits = 1.0 - self.miss_probability
        return self.cross_entropy_on_hits / hits if hits > 0.0 else inf

    @property
    def full_cross_entropy(self) -> float:
        """E[-sum p ln q], the paper's first definition: infinite as soon as anything can be missed."""
        return self.cross_entropy_on_hits if self.miss_probability == 0.0 else inf


def drafter_moments(target_laws: npt.ArrayLike, drafter_laws: npt.ArrayLike) -> DrafterMoments:
    """The moments over contexts of equal weight. Both arguments: [contexts, vocabulary], row by row.

    Raises InvalidInput for what is no law, different shapes, or a drafter that always misses.
    """
    target, drafter = check_laws(target_laws), check_laws(drafter_laws)
    if target.shape != drafter.shape or target.ndim != 2:
        raise InvalidInput(
            f"target and drafter laws must both be [contexts, vocabulary], got {target.shape} and "
            f"{drafter.shape}; map the drafter's vocabulary onto the target's first"
        )
    drafted = drafter > 0.0
    lengths = np.where(drafted, surprisals(drafter), 0.0)
    cross_entropies = (target * lengths).sum(axis=1)
    missable = (target * ~drafted).sum(axis=1)  # summed itself: 1 - hits would leave rounding in place of 0
    return moments_of_contexts(missable, cross_entropies)


def moments_of_contexts(
    missed: npt.ArrayLike, cross_entropies: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> DrafterMoments:
    """The moments from what is known of each context, see `LawPair`: missed, cross_entropies [contexts].

    weights: [contexts] >= 0, equal if not given. Raises InvalidInput for a drafter that always misses.
    """
    misses, lengths = np.asarray(missed, dtype=np.float64), np.asarray(cross_entropies, dtype=np.float64)
    share = np.ones(len(misses)) if weights is None else np.asarray(weights, dtype=np.float64)
    hits = 1.0 - misses
    # A context that misses but for rounding has no ratio; its cross-entropy is rounding as well.
    hit = (hits > _ALWAYS_MISSES) & (share > 0.0)
    if not hit.any():
        raise InvalidInput("the drafter gives probability 0 to everything the target may say; check the maps")
    return DrafterMoments(
        miss_probability=float(np.average(misses, weights=share)),
        cross_entropy_on_hits=float(np.average(lengths, weights=share)),
        mean_ratio=float(np.average(lengths[hit] / hits[hit], weights=share[hit])),
    )


def lemma_7_printed(cross_entropy: float, miss_probability: float, node_budget: int) -> Bound:
    """min(1/eps, ln(P)/mu_CE), the o(ln P) omitted, as the paper states and plots it; P where that is less.

    cross_entropy: mu_CE, one of the three readings in DrafterMoments (the paper displays mean_ratio).
    Source: arXiv 2512.11718v1, Lemma 7. Not a lower bound at any P once eps > 0: E[X] < 1/eps always,
    because the call also ends by leaving the tree (docs/theory/errata.md). Raises InvalidInput for
    arguments out of range.
    """
    budget = check_node_budget(node_budget)
    _check_drafter(cross_entropy, miss_probability)
    by_misses = 1.0 / miss_probability if miss_probability > 0.0 else inf
    by_budget = log(budget) / cross_entropy if cross_entropy > 0.0 else inf
    # The omitted o(ln P) is not small at small mu_CE: the paper's terms alone can exceed P.
    value = min(by_misses, by_budget, float(budget))
    return Bound(
        name="lemma_7_printed",
        value=value,
        side="asymptotic",
        assumptions=(*_PAIRS, Assumption.NON_ARITHMETIC, Assumption.LARGE_BUDGET),
        source="arXiv 2512.11718v1, Lemma 7",
        origin="as printed",
        validity="leading order only, P where that is smaller; false for eps > 0 wherever 1/eps is the least",
    )


def lemma_7_corrected_leading_order(
    cross_entropy_on_hits: float, miss_probability: float, node_budget: int
) -> Bound:
    """1/E[X] <= m/ln(P) + eps to leading order: the two ways a call can end add up.

    Wald on the walk that adds -ln q at a hit and nothing at a miss. Source: ours, correcting
    arXiv 2512.11718v1, Lemma 7. Raises InvalidInput for arguments out of range.
    """
    budget = check_node_budget(node_budget)
    _check_drafter(cross_entropy_on_hits, miss_probability)
    # Both sides of the fraction times ln P, so that P = 1 gives 0 and not a division by 0.
    logarithm = log(budget)
    rate = cross_entropy_on_hits + miss_probability * logarithm
    return Bound(
        name="lemma_7_corrected_leading_order",
        value=min(logarithm / rate, float(budget)) if rate > 0.0 else float(budget),
        side="asymptotic",
        assumptions=(*_PAIRS, Assumption.NON_ARITHMETIC, Assumption.LARGE_BUDGET),
        source="ours, correcting arXiv 2512.11718v1, Lemma 7",
        origin="corrected",
        validity="leading order only; P where that is smaller, and at m = eps = 0",
    )


def lemma_7_corrected_at_threshold(
    cross_entropy_on_hits: float,
    miss_probability: float,
    threshold: float,
    early_probability: float,
) -> Bound:
    """E[X] >= t (1 - Pr[T_q < t])/(m + eps t) for any one t, with T_q the (P+1)-th smallest -ln Q(v).

    threshold: t > 0, nats. early_probability: Pr[T_q < t], or anything above it (0 where more than P nodes
    below t are impossible, as in a drafter whose every law is uniform). The other forms bound it by
    Markov's inequality. Source: ours, correcting arXiv 2512.11718v1, Lemma 7. Raises InvalidInput for
    arguments out of range.
    """
    _check_drafter(cross_entropy_on_hits, miss_probability)
    if not (isfinite(threshold) and threshold > 0.0 and 0.0 <= early_probability <= 1.0):
        raise InvalidInput(
            f"the threshold must be a positive number of nats and its probability in [0, 1], got {threshold} "
            f"and {early_probability}"
        )
    rate = cross_entropy_on_hits + miss_probability * threshold
    if rate == 0.0:
        raise InvalidInput(
            "a drafter that never misses and is never surprised attains P; no threshold needed"
        )
    return Bound(
        name="lemma_7_corrected_at_threshold",
        value=max(1.0, threshold * (1.0 - early_probability) / rate),
        side="lower",
        assumptions=_PAIRS,
        source="ours, correcting arXiv 2512.11718v1, Lemma 7",
        origin="corrected",
        validity="every t > 0; 1 where the formula is smaller",
    )


def lemma_7_corrected(
    cross_entropy_on_hits: float, miss_probability: float, drafter_law: StepLaw, node_budget: int
) -> Bound:
    """E[X] >= max over t of t (1 - E N_q(t-)/(P+1))/(m + eps t), E N_q from the drafter's own step law.

    drafter_law: the step law of q under q (surprisals of the drafter's tokens weighted by the drafter).
    Holds at the P given. Source: ours, correcting arXiv 2512.11718v1, Lemma 7. Raises InvalidInput for
    arguments out of range.
    """
    budget = check_node_budget(node_budget)
    _check_drafter(cross_entropy_on_hits, miss_probability)
    count = refined_node_count(drafter_law, budget + 1)
    thresholds = count.width * np.arange(1, len(count.expected_nodes) + 1)  # t-: the bin before t
    return _largest_over_thresholds(
        "lemma_7_corrected",
        thresholds,
        count.expected_nodes,
        cross_entropy_on_hits,
        miss_probability,
        budget,
    )


def lemma_7_corrected_two_moments(
    cross_entropy_on_hits: float,
    miss_probability: float,
    drafter_mu: float,
    drafter_mu2: float,
    node_budget: int,
) -> Bound:
    """`lemma_7_corrected` with E N_q(t) <= a e^t - 1/mu from the drafter's own two moments, mu > 0.

    Source: ours, correcting arXiv 2512.11718v1, Lemma 7. Raises InvalidInput for arguments out of range.
    """
    drafter_mu2, budget = check_moments(drafter_mu, drafter_mu2), check_node_budget(node_budget)
    _check_drafter(cross_entropy_on_hits, miss_probability)
    if drafter_mu == 0.0:
        raise InvalidInput("a drafter with mu = 0 drafts one path only; its misses decide, give its step law")
    m = drafter_mu2 / drafter_mu / drafter_mu
    # Past ln((Q + 1/mu)/a), which is at most ln(Q + 1), the envelope exceeds Q and the bound is negative.
    thresholds = log(budget + 2.0) * np.arange(1, _THRESHOLDS + 1) / _THRESHOLDS
    envelope = m * np.exp(thresholds) + np.expm1(thresholds) / drafter_mu
    return _largest_over_thresholds(
        "lemma_7_corrected_two_moments",
        thresholds,
        envelope,
        cross_entropy_on_hits,
        miss_probability,
        budget,
    )


def _largest_over_thresholds(
    name: str,
    thresholds: npt.NDArray[np.floating],
    nodes_before: npt.NDArray[np.floating],
    cross_entropy_on_hits: float,
    miss_probability: float,
    budget: int,
) -> Bound:
    rates = cross_entropy_on_hits + miss_probability * thresholds
    gains = thresholds * np.maximum(1.0 - nodes_before / (budget + 1.0), 0.0)
    # rates = 0: the target follows the drafter's one certain path, no node is left over, the gain is 0.
    ratios = np.divide(gains, rates, out=np.zeros_like(gains), where=rates > 0.0)
    return Bound(
        name=name,
        value=max(1.0, float(ratios.max())),
        side="lower",
        assumptions=_PAIRS,
        source="ours, correcting arXiv 2512.11718v1, Lemma 7",
        origin="corrected",
        validity=_FINITE,
    )


def _check_drafter(cross_entropy: float, miss_probability: float) -> None:
    if not isfinite(cross_entropy) or cross_entropy < 0.0:
        raise InvalidInput(
            f"the cross-entropy must be a finite number of nats >= 0, got {cross_entropy}; where misses "
            "(q = 0) make it infinite, give the one on hits and the miss probability"
        )
    if not 0.0 <= miss_probability <= 1.0:
        raise InvalidInput(f"the miss probability must lie in [0, 1], got {miss_probability}")
