"""The law of the distinct rank R of an exponential race: a Poisson-binomial count, integrated over time.

Given the target's winner j and its time E_j = p_j s with s ~ Exp(1), every other token i stands before j in
the drafter's order with probability 1 - exp(-s a_i), a_i = (c q_i - p_i)_+, c = p_j / q_j, independently.
So R - 1 is a sum of independent indicators, j enters only through c, and

    P(R = m) = sum_j p_j integral_0^inf e^-s P(N(s, p_j / q_j) = m - 1) ds.

Three savings make vocabularies of 50,000 tokens affordable, each with its error accounted for: the time
integral by the trapezoid rule in log s (exponentially convergent), the many tokens of small a_i through
power sums instead of one by one, and the dependence on c by adaptive interpolation. Origin: ours; see
`races` for what of the paper (arXiv 2504.15475) was available.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.laws.arrival_counts import ArrivalRates, count_law, log_time_grid
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder
from speclight.theory.races.matching import RankConvention, RankLaw

# Time is cut off where less than e^-45 = 3e-20 of Exp(1) is left.
LARGEST_TIME = 45.0
# Left of the first time lies at most this much of the mass of ranks above 1.
EARLY_MASS = 1e-15
# What cut-offs, trapezoid rule and power sums leave together; tests compare halved steps and plain sums.
TIME_ERROR = 1e-10


def distinct_rank_law(
    target: FloatArray, drafter: FloatArray, max_rank: int, tolerance: float = 1e-6
) -> RankLaw:
    """P(R = 1), ..., P(R = max_rank) of the distinct rank, with sum_m |error| at most about `tolerance`.

    target, drafter: [vocabulary] probabilities. max_rank: M >= 1. tolerance: > 0; `error` of the result is
    the estimate reached (difference between quadratic and linear interpolation over the tokens whose ratio
    was interpolated, plus TIME_ERROR); it is TIME_ERROR alone where every ratio was computed, as for a few
    hundred tokens. Mass on tokens with q = 0 < p has no finite rank and counts as beyond max_rank.
    Raises InvalidInput on malformed laws, max_rank < 1 or tolerance <= 0.
    """
    ranks = check_count(max_rank, "max_rank")
    if not tolerance > 0.0:
        raise InvalidInput(f"tolerance must be positive, got {tolerance}")
    pair = LikelihoodRatioOrder(target, drafter)
    p = pair.target[pair.order]
    reachable = (p > 0.0) & np.isfinite(pair.ratios)
    if not reachable.any():
        return RankLaw(RankConvention.DISTINCT, np.zeros(ranks), beyond=1.0, error=0.0)
    scales, owner = np.unique(pair.ratios[reachable], return_inverse=True)
    weights = np.zeros(len(scales))
    np.add.at(weights, owner, p[reachable])
    mean = _MeanOverScales(pair, scales, weights, ranks)
    error = mean.refine(tolerance)
    probabilities = np.maximum(mean.total(), 0.0)
    beyond = max(0.0, 1.0 - float(probabilities.sum()))
    return RankLaw(RankConvention.DISTINCT, probabilities, beyond, error + TIME_ERROR)


def rank_law_given_ratio(pair: LikelihoodRatioOrder, ratio: float, ranks: int) -> FloatArray:
    """[ranks] P(R = m | Y = j), where `ratio` = p_j / q_j of the emitted token."""
    ahead = int(np.searchsorted(pair.ratios, ratio, side="left"))
    tokens = pair.order[:ahead]
    rates = np.maximum(ratio * pair.drafter[tokens] - pair.target[tokens], 0.0)
    total = float(rates.sum())
    law = np.zeros(ranks)
    law[0] = 1.0 / (1.0 + total)
    if ranks == 1 or total == 0.0:
        return law
    arrivals = ArrivalRates(rates[rates > 0.0])
    # Ranks above 1 have mass at most total * time^2 / 2 before a time, in units where Y arrives at rate 1.
    first = min(float(np.sqrt(2.0 * EARLY_MASS * total)), 1.0)
    times, step = log_time_grid(arrivals, first, LARGEST_TIME * total, ranks)
    density = step * times / total * np.exp(-times / total)
    law[1:] = density @ count_law(arrivals, times, ranks)[:, 1:]
    return law


@dataclass(frozen=True, slots=True)
class _Panel:
    """Ratios low..high with values known at low, middle and high; its share of the mean, and the error."""

    low: int
    middle: int
    high: int
    share: FloatArray
    error: float


class _MeanOverScales:
    """sum_j w_j F(c_j) for F the conditional rank law, computed at as few ratios as the tolerance allows."""

    def __init__(
        self, pair: LikelihoodRatioOrder, scales: FloatArray, weights: FloatArray, ranks: int
    ) -> None:
        self.pair, self.scales, self.weights, self.ranks = pair, scales, weights, ranks
        self.logs: FloatArray = np.log(scales)
        self.known: dict[int, FloatArray] = {}
        self.panels: list[tuple[float, int, _Panel]] = []
        self.settled = np.zeros(ranks)
        self.pending_error = 0.0
        last = len(scales) - 1
        self._settle(0)
        if last > 0:
            self._settle(last)
            self._open(0, last)

    def refine(self, tolerance: float) -> float:
        """Split the worst panel until the estimated error is within tolerance; the estimate reached."""
        while self.panels and self.pending_error > tolerance:
            _, _, panel = heapq.heappop(self.panels)
            self.pending_error -= panel.error
            self._settle(panel.middle)
            self._open(panel.low, panel.middle)
            self._open(panel.middle, panel.high)
        return max(self.pending_error, 0.0) if self.panels else 0.0

    def total(self) -> FloatArray:
        return self.settled + sum((panel.share for _, _, panel in self.panels), np.zeros(self.ranks))

    def _value(self, index: int) -> FloatArray:
        if index not in self.known:
            self.known[index] = rank_law_given_ratio(self.pair, float(self.scales[index]), self.ranks)
        return self.known[index]

    def _settle(self, index: int) -> None:
        self.settled += self.weights[index] * self._value(index)

    def _open(self, low: int, high: int) -> None:
        """Add the panel strictly between two settled ratios; single ratios are settled at once."""
        if high - low < 2:
            return
        inside = slice(low + 1, high)
        mass: FloatArray = np.cumsum(self.weights[inside])
        middle = low + 1 + min(int(np.searchsorted(mass, float(mass[-1]) / 2.0)), high - low - 2)
        width = self.logs[high] - self.logs[low]
        at = (self.logs[middle] - self.logs[low]) / width if width > 0.0 else 0.0
        if high - low == 2 or not 0.0 < at < 1.0:
            # Ratios that rounding alone tells apart leave no room for a parabola.
            self._settle(middle)
            self._open(low, middle)
            self._open(middle, high)
            return
        places, weights = (self.logs[inside] - self.logs[low]) / width, self.weights[inside]
        ends, centre = (self._value(low), self._value(high)), self._value(middle)
        line = (weights @ (1.0 - places)) * ends[0] + (weights @ places) * ends[1]
        # The parabola through the middle value adds a multiple of x (1 - x) to the chord.
        bow = (centre - (1.0 - at) * ends[0] - at * ends[1]) / (at * (1.0 - at))
        bend: FloatArray = (weights @ (places * (1.0 - places))) * bow
        panel = _Panel(low, middle, high, line + bend, float(np.linalg.norm(bend, ord=1)))
        self.pending_error += panel.error
        heapq.heappush(self.panels, (-panel.error, low, panel))
