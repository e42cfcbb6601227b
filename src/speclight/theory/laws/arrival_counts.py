"""How many tokens have arrived by a given time, when token i arrives at rate a_i: a Poisson-binomial law.

Both the rank of a race and the chance that a draft without replacement stays inside a set are integrals
over time of this law. Tokens whose chance to have arrived is small are treated together, through power
sums, so that vocabularies of 50,000 tokens cost about as much as their few hundred likely ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, factorial

import numpy as np

from speclight.arrays import FloatArray, IntArray

# Chernoff: P(N <= M) <= exp(-(mean - M)^2 / (2 mean)) for mean > M; such times are left out at e^-36.
CHERNOFF_EXPONENT = 36.0
# Tokens with chances below about this go through power sums: 13 terms of them leave a relative error of
# (0.1 / ln 2)^14 = 2e-12.
SMALL_CHANCE = 0.1
POWER_SUMS = 13
# exp(-600) is still a normal double; the tokens treated together may not have more arrivals on average.
LARGEST_BLOCK_MEAN = 600.0
# From this time on every token is treated singly: its 13th power and that of 0.1 over it are normal doubles.
LARGEST_BLOCK_TIME = 1e22


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class ArrivalRates:
    """Rates of the tokens in units of their sum, with the sums of powers that every tail needs.

    rates: [tokens] > 0 in any order. shares: [tokens] rates / total, descending. tails: [tokens + 1,
    POWER_SUMS] with tails[i, l - 1] = sum of shares[i:] ** l. Times below are in units of 1 / total: powers
    of shares then neither overflow nor underflow where they matter.
    """

    rates: FloatArray
    total: float = field(init=False)
    shares: FloatArray = field(init=False)
    tails: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        total = float(self.rates.sum())
        shares = np.sort(self.rates / total)[::-1]
        tails = np.zeros((len(shares) + 1, POWER_SUMS))
        power = shares.copy()
        for order in range(POWER_SUMS):
            tails[:-1, order] = np.cumsum(power[::-1])[::-1]
            power *= shares
        object.__setattr__(self, "total", total)
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "tails", tails)

    def faster_than(self, thresholds: FloatArray) -> IntArray:
        """Number of tokens whose share exceeds each threshold."""
        return np.searchsorted(-self.shares, -thresholds, side="left")


def log_time_grid(arrivals: ArrivalRates, first: float, last: float, counts: int) -> tuple[FloatArray, float]:
    """Times from `first` to `last` equally spaced in log time, and the spacing, for counts 0..counts - 1.

    The trapezoid rule in log time converges exponentially for the smooth integrands of this package. Times
    at which so few arrivals are out of the question (CHERNOFF_EXPONENT) are left out.
    """
    # The law of a count of mean m is 1 / sqrt(m) wide in log time, so the spacing shrinks with the count;
    # the 9 keeps it below pi^2 / 36, what a factor e^-time asks for by itself.
    step = 0.6 / np.sqrt(counts + 9.0)
    nodes = int(np.ceil(np.log(last / first) / step)) if last > first else 0
    times = first * np.exp(step * np.arange(nodes + 1))
    # 1 - e^-x >= (1 - 1/e) min(x, 1) bounds the mean count from below without a sum per time.
    split = arrivals.faster_than(1.0 / times)
    mean = (1.0 - np.exp(-1.0)) * (split + times * arrivals.tails[split, 0])
    possible = (mean <= counts) | ((mean - counts) ** 2 <= 2.0 * CHERNOFF_EXPONENT * mean)
    return times[possible], step


def count_law(arrivals: ArrivalRates, times: FloatArray, counts: int) -> FloatArray:
    """[times, counts] P(N = 0), ..., P(N = counts - 1) for the number N of tokens arrived by each time.

    times: ascending, in units of 1 / total rate. Absolute error of each entry about 1e-11.
    """
    by_chance = arrivals.faster_than(SMALL_CHANCE / times)
    by_mean = np.searchsorted(-arrivals.tails[:, 0], -LARGEST_BLOCK_MEAN / times, side="left")
    heads = np.maximum(by_chance, by_mean)
    heads[times > LARGEST_BLOCK_TIME] = len(arrivals.shares)
    law = _count_law_of_tail(arrivals, times, heads, counts)
    # Both thresholds only grow with time: token i is treated singly from one time on.
    starts = np.searchsorted(heads, np.arange(int(heads[-1])), side="right")
    for token, start in enumerate(starts):
        absent = np.exp(-times[start:, None] * arrivals.shares[token])
        later = law[start:]
        arrived = later[:, :-1] * (1.0 - absent)
        later *= absent
        later[:, 1:] += arrived
    return law


def _count_law_of_tail(arrivals: ArrivalRates, times: FloatArray, heads: IntArray, counts: int) -> FloatArray:
    """Law of the count over the tokens from heads[t] on, by Newton's identities on the odds e^(t a) - 1.

    The generating function is prod e^(-t a_i) (1 + z o_i), o_i = e^(t a_i) - 1; power sums of o_i follow from
    those of t a_i by the expansion (e^x - 1)^n = sum_l n! {l, n} x^l / l!.
    """
    scaled = arrivals.tails[heads] * np.minimum(times, LARGEST_BLOCK_TIME)[:, None] ** np.arange(
        1, POWER_SUMS + 1
    )
    odds = scaled @ EXPONENTIAL_POWERS.T  # [times, n - 1] = sum_i o_i^n
    law = np.zeros((len(times), counts))
    law[:, 0] = np.exp(-scaled[:, 0])
    signs = np.where(np.arange(POWER_SUMS) % 2 == 0, 1.0, -1.0)
    for order in range(1, counts):
        terms = min(order, POWER_SUMS)
        recent = law[:, order - terms : order][:, ::-1]
        law[:, order] = (recent * odds[:, :terms]) @ signs[:terms] / order
    return np.maximum(law, 0.0)


def _exponential_powers() -> FloatArray:
    """[n - 1, l - 1] coefficient of x^l in (e^x - 1)^n: n! times the Stirling number {l, n}, over l!."""
    table = np.zeros((POWER_SUMS, POWER_SUMS))
    for n in range(1, POWER_SUMS + 1):
        for power in range(n, POWER_SUMS + 1):
            surjections = sum((-1) ** (n - k) * comb(n, k) * k**power for k in range(n + 1))
            table[n - 1, power - 1] = surjections / factorial(power)
    return table


EXPONENTIAL_POWERS = _exponential_powers()
