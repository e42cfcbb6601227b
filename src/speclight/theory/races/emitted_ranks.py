"""Which candidate the emitted token was, at one context, by rule: exact given both laws and the token.

Along a text drawn from the target the ranks of successive tokens are independent given the text, for every
rule here: what is drafted off the emitted path never matters. So the expected tokens of a call with a static
tree follow from these laws and the text, with no draft ever sampled. Origin: ours, by Bayes' rule from the
closed forms of `theory`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.theory.bisection import increasing_root
from speclight.theory.coins.rejection_without_replacement import residual_scales
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder
from speclight.theory.races.distinct_ranks import rank_law_given_ratio

# Sets that list sampling follows beyond the first token: with chains of at least 2, half of 32 nodes.
MOST_FOLLOWED_SETS = 16
# Children of a node of a k-seq tree, at the most: each number of candidates has an acceptance of its own.
MOST_K_SEQ_CHILDREN = 8
# Grids in log time of the two integrals of list sampling; halving the steps changes a match by below 1e-4.
RACE_TIMES = np.geomspace(1e-6, 45.0, 140)
EXTRA_TIMES = np.geomspace(1e-9, 60.0, 200)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class EmittedRanks:
    """Laws given the emitted token y; what is missing to 1 is the chance that y was no candidate.

    race, race_with_replacement, rejection, rejection_without_replacement: [ranks] P(R = m | y).
    k_seq: [ranks + 1, ranks] row b: with b candidates (`k_seq_counts`). ratio: q(y) / p(y).
    matching_sets: [sets + 1, sets + 1] P(j' noise sets draft y | y, j sets active), up to MOST_FOLLOWED_SETS.
    any_set: [ranks + 1] P(at least one of j noise sets drafts y | y).
    """

    race: FloatArray
    race_with_replacement: FloatArray
    rejection: FloatArray
    rejection_without_replacement: FloatArray
    k_seq: FloatArray
    ratio: float
    matching_sets: FloatArray
    any_set: FloatArray


def emitted_ranks(target: FloatArray, drafter: FloatArray, token: int, uniforms: FloatArray) -> EmittedRanks:
    """The laws at one context where `token` was emitted, p(token) > 0.

    target, drafter: [vocab]. uniforms: [histories, ranks - 1], of sampled histories of rejection without
    replacement, the only law here that is estimated (unbiased). Other errors: below 1e-4 for list sampling,
    rounding otherwise.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    ranks = uniforms.shape[1] + 1
    p, q = float(target[token]), float(drafter[token])
    if q == 0.0:
        return _never_proposed(ranks)
    ahead = float(pair.drafter_excess(np.array(p / q)))
    arrivals = (ahead / (1.0 + ahead)) ** np.arange(ranks, dtype=np.float64) / (1.0 + ahead)
    with_replacement = _served(_rejection_scales(pair, ranks)[None], p, q)
    without_replacement = _served(residual_scales(target, drafter, uniforms), p, q)
    matching, any_set = _list_sampling(pair, p, q, ranks)
    return EmittedRanks(
        race=rank_law_given_ratio(pair, p / q, ranks),
        race_with_replacement=arrivals,
        rejection=with_replacement,
        rejection_without_replacement=without_replacement,
        k_seq=_k_seq(pair, p, q, ranks),
        ratio=q / p,
        matching_sets=matching,
        any_set=any_set,
    )


def _never_proposed(ranks: int) -> EmittedRanks:
    nothing = np.zeros(ranks)
    matching = np.zeros((MOST_FOLLOWED_SETS + 1, MOST_FOLLOWED_SETS + 1))
    matching[:, 0] = 1.0
    table = np.zeros((ranks + 1, ranks))
    return EmittedRanks(nothing, nothing, nothing, nothing, table, 0.0, matching, np.zeros(ranks + 1))


def _rejection_scales(pair: LikelihoodRatioOrder, ranks: int) -> FloatArray:
    """[ranks + 1] t of `theory.acceptance.rejection_with_replacement`."""
    scales = [0.0]
    for _ in range(ranks):
        scales.append(scales[-1] + float(pair.target_excess(np.array(scales[-1]))))
    return np.array(scales)


def _served(scales: FloatArray, p: float, q: float) -> FloatArray:
    """[ranks] share of p that each candidate serves, averaged over [histories, ranks + 1] scales."""
    return np.diff(np.minimum(p, scales * q), axis=1).mean(axis=0) / p


def k_seq_counts(ranks: int) -> list[int]:
    """Numbers of candidates for which k-seq is evaluated: all small ones, then powers of 2."""
    return [count for count in range(1, ranks + 1) if count <= MOST_K_SEQ_CHILDREN or count.bit_count() == 1]


def _k_seq(pair: LikelihoodRatioOrder, p: float, q: float, ranks: int) -> FloatArray:
    """See EmittedRanks.k_seq; the acceptance of `theory.acceptance.k_seq`, each beta in O(log V)."""

    def beta(rho: float) -> float:
        split = int(np.searchsorted(pair.ratios, rho, side="left"))
        return float(pair.target_before[split] / rho + pair.drafter_after[split])

    table = np.zeros((ranks + 1, ranks))
    for count in k_seq_counts(ranks):

        def surplus(rho: float, count: int = count) -> float:
            return rho * beta(rho) - 1.0 + (1.0 - min(beta(rho), 1.0)) ** count

        rho = 1.0 if surplus(1.0) >= 0.0 else increasing_root(surplus, 1.0, float(count))
        missed = 1.0 - min(beta(rho), 1.0)
        table[count, :count] = missed ** np.arange(count) * min(q, p / rho) / p
    return table


def _list_sampling(
    pair: LikelihoodRatioOrder, p: float, q: float, ranks: int
) -> tuple[FloatArray, FloatArray]:
    """Match laws of list sampling given y, by integrals over the time of the race.

    Let p sigma be y's winning time, in one set. Given y and j active sets sigma ~ Exp(j). With A(c) = sum
    (c q_i - p_i)_+ and c = p / q, that set drafts y with e^(-sigma A(c)); each other set, whose times are
    only known to exceed sigma p_i, with m(sigma) = p integral_0^inf e^(-sigma A(c (1 + v / sigma))) dv,
    independently of the others.
    """
    sigma, ratio = RACE_TIMES, p / q
    own = np.exp(-sigma * float(pair.drafter_excess(np.array(ratio))))
    extra = EXTRA_TIMES / p
    scale = ratio * (1.0 + extra[None, :] / sigma[:, None])
    integrand = np.exp(-sigma[:, None] * pair.drafter_excess(scale)) * extra
    other = np.minimum(p * np.trapezoid(integrand, np.log(extra), axis=1), 1.0)
    any_set, matching = np.zeros(ranks + 1), np.zeros((MOST_FOLLOWED_SETS + 1, MOST_FOLLOWED_SETS + 1))
    matching[0, 0] = 1.0
    for sets in range(1, ranks + 1):
        density = sets * sigma * np.exp(-sets * sigma)
        weights = density / np.trapezoid(density, np.log(sigma))
        missed = (1.0 - own) * (1.0 - other) ** (sets - 1)
        any_set[sets] = 1.0 - float(np.trapezoid(weights * missed, np.log(sigma)))
        if sets <= MOST_FOLLOWED_SETS:
            law = _matches(own, other, sets)
            matching[sets, : sets + 1] = np.trapezoid(weights[:, None] * law, np.log(sigma), axis=0)
    return matching, any_set


def _matches(own: FloatArray, other: FloatArray, sets: int) -> FloatArray:
    """[times, sets + 1] law of the number of matches: one set with chance `own`, the others with `other`."""
    law = np.zeros((len(own), sets + 1))
    law[:, 0], law[:, 1] = 1.0 - own, own
    for _ in range(sets - 1):
        law[:, 1:] = law[:, 1:] * (1.0 - other[:, None]) + law[:, :-1] * other[:, None]
        law[:, 0] *= 1.0 - other
    return law
