"""The most that any lossless rule can accept, given how the candidates are drawn: optimal transport.

For drafts x_1..x_k of any joint law, max P(emitted token is a draft) = 1 + min_H [p(H) - P(all drafts in H)]
over sets H of tokens (max-flow = min-cut; derivation ours, the value also in arXiv 2502.18779 and, for two
drafts, 2410.18234). Both draft laws here make the minimum easy: some H that holds the tokens of smallest
p/q attains it, so O(V) sets are enough instead of 2^V.
"""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.information import check_laws
from speclight.theory.laws.arrival_counts import ArrivalRates, count_law, log_time_grid
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder

# Token sets are listed by bit mask; 2^20 doubles are 8 MB.
LARGEST_SUBSET_VOCABULARY = 20
# Cut-offs in time: an arrival before the first, or none by the last, has probability below these.
FIRST_TIME = 1e-13
LAST_TIME = 45.0


def transport_with_replacement(target: FloatArray, drafter: FloatArray, candidates: int) -> float:
    """1 + min_H [p(H) - q(H)^k] for k independent drafts. Exact, O(V log V).

    -y^k is concave, so it is the lower envelope of its tangents; for one tangent the minimum over H takes
    every token with p < k y^(k-1) q, a set of smallest p/q, hence so does the minimum over all. Ours.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    count = check_count(candidates, "candidates")
    return 1.0 + float((pair.target_before - pair.drafter_before**count).min())


def transport_without_replacement(
    target: FloatArray, drafter: FloatArray, candidates: int, tolerance: float = 1e-9
) -> float:
    """1 + min_H [p(H) - G(H)], G(H) = P(k successive draws without replacement all in H); to `tolerance`.

    Where the drafter has at most k tokens, all are drafted and the value is p of them. In the race picture
    G(H + i) - G(H), divided by q_i, is the integral over the time t of e^(-q_i t) times the chance that
    fewer than k others have arrived, the first k - 1 of them in H; comparing integrands shows it is at
    least (G(H) - G(H - j)) / q_j for j in H. So a set of smallest p/q attains the minimum, and along such
    sets G is convex as a function of q(H): chords bound it from above and a few evaluations suffice.
    Origin of the proof: ours; arXiv 2502.18779 claims tractability for these laws too.
    Raises InvalidInput on malformed laws, candidates < 1 or tolerance <= 0.
    """
    count = check_count(candidates, "candidates")
    if not tolerance > 0.0:
        raise InvalidInput(f"tolerance must be positive, got {tolerance}")
    pair = LikelihoodRatioOrder(target, drafter)
    proposable = int(np.isfinite(pair.ratios).sum())  # tokens with q = 0 only add to p(H)
    rates = pair.drafter[pair.order][:proposable]
    if proposable <= count:
        return float(pair.target_before[proposable])
    p, q = pair.target_before[: proposable + 1], pair.drafter_before[: proposable + 1]
    inside = {0: 0.0, count - 1: 0.0, proposable: 1.0}
    best = min(0.0, float(p[proposable]) - 1.0)
    while True:
        known = np.array(sorted(inside))
        chords = np.interp(q, q[known], np.array([inside[int(size)] for size in known]))
        below = p - chords  # a lower bound on p(H) - G(H) for every prefix
        below[known] = np.inf
        size = int(below.argmin())
        if below[size] >= best - tolerance:
            return 1.0 + best
        inside[size] = drafts_stay_inside(rates[:size], rates[size:], count)
        best = min(best, float(p[size]) - inside[size])


def drafts_stay_inside(inside: FloatArray, outside: FloatArray, candidates: int) -> float:
    """P(the first k distinct arrivals are all from `inside`), tokens arriving at the rates given.

    inside, outside: probabilities > 0 of the tokens in and out of the set. Equal to drawing k tokens one
    by one without replacement. 1 - this = integral of q_out e^(-q_out t) P(fewer than k of inside by t).
    Error about 1e-10. Origin: ours.
    """
    leaving = float(outside.sum())
    if len(inside) < candidates:
        return 0.0
    if leaving == 0.0:
        return 1.0
    arrivals = ArrivalRates(inside)
    leaving /= arrivals.total
    # By LAST_TIME either the first outsider has come or the k-th likeliest insider has.
    last = LAST_TIME / max(leaving, float(arrivals.shares[candidates - 1]))
    times, step = log_time_grid(arrivals, FIRST_TIME / max(leaving, 1.0), last, candidates)
    density = step * leaving * times * np.exp(-leaving * times)
    return 1.0 - float(density @ count_law(arrivals, times, candidates).sum(axis=1))


def transport_by_subsets(target: FloatArray, containment: FloatArray) -> float:
    """1 + min over all 2^V sets H of p(H) - containment[H], for any draft law on at most 20 tokens.

    containment: [2^V] P(all drafts in H), H read as a bit mask (bit i = token i).
    """
    law = _check_small(target)
    if containment.shape != (2 ** len(law),):
        raise InvalidInput(f"containment must have shape ({2 ** len(law)},), got {containment.shape}")
    return 1.0 + float((_sums_by_mask(law) - containment).min())


def containment_with_replacement(drafter: FloatArray, candidates: int) -> FloatArray:
    """[2^V] q(H)^k for every set H by bit mask; at most 20 tokens."""
    return _sums_by_mask(_check_small(drafter)) ** check_count(candidates, "candidates")


def containment_without_replacement(drafter: FloatArray, candidates: int) -> FloatArray:
    """[2^V] P(k draws without replacement all in H) for every H by bit mask; at most 20 tokens.

    All tokens of positive probability are drafted where they are at most k.
    """
    law = _check_small(drafter)
    draws = min(check_count(candidates, "candidates"), int((law > 0.0).sum()))
    masks: IntArray = np.arange(2 ** len(law), dtype=np.int64)
    drafted = np.zeros(len(masks))  # P(the set drafted so far is exactly this one)
    drafted[0] = 1.0
    for _ in range(draws):
        following = np.zeros(len(masks))
        for token, chance in enumerate(law):
            without: IntArray = (
                masks[(masks >> token & 1 == 0) & (drafted > 0.0)] if chance > 0.0 else masks[:0]
            )
            # Summing what is left keeps its digits where the drafted tokens have nearly all the mass.
            left = _sums_by_mask(law)[masks[-1] - without]
            following[without | 1 << token] += drafted[without] * chance / left
        drafted = following
    for token in range(len(law)):  # sums over subsets, one token at a time
        holding: IntArray = masks[masks >> token & 1 == 1]
        drafted[holding] += drafted[holding ^ 1 << token]
    return drafted


def _sums_by_mask(law: FloatArray) -> FloatArray:
    sums = np.zeros(1)
    for chance in law:
        sums = np.concatenate([sums, sums + chance])
    return sums


def _check_small(law: FloatArray) -> FloatArray:
    checked = check_laws(law)
    if checked.ndim != 1 or len(checked) > LARGEST_SUBSET_VOCABULARY:
        raise InvalidInput(
            f"sets are listed for vectors of at most {LARGEST_SUBSET_VOCABULARY} tokens, got shape "
            f"{checked.shape}; use transport_with_replacement or transport_without_replacement"
        )
    return checked
