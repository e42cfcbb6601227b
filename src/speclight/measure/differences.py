"""Second minus first of two measured means: from pairs of prompts, or from two intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, hypot, log, sqrt

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, half_width


def paired_difference(
    first: tuple[Sequence[float], Sequence[float]], second: tuple[Sequence[float], Sequence[float]]
) -> Estimate:
    """Ratio of totals of the second less that of the first, with a 95% interval from pairs of prompts.

    first, second: numerators and denominators, [prompts] each, prompts in one order. Standard error by
    linearisation of both ratios, t quantiles at prompts - 1; None for a single prompt.
    Raises InvalidInput for unequal numbers of prompts or denominators that add up to no more than 0.
    """
    values, influences = zip(*(_linearised(*side) for side in (first, second)), strict=True)
    if len(influences[0]) != len(influences[1]):
        raise InvalidInput(
            f"pairs need the same prompts on both sides, got {len(influences[0])} and {len(influences[1])}"
        )
    value, prompts = float(values[1] - values[0]), len(influences[0])
    if prompts == 1:
        return Estimate(value, None, None, None, 1)
    residuals = influences[1] - influences[0]
    error = sqrt(prompts / (prompts - 1) * float((residuals**2).sum()))
    half = half_width(error, prompts)
    return Estimate(value, error, value - half, value + half, prompts)


def _linearised(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, FloatArray]:
    tops, bottoms = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    total = float(bottoms.sum())
    if total <= 0.0 or tops.shape != bottoms.shape:
        raise InvalidInput("a ratio of totals needs as many numerators as denominators, of positive sum")
    value = float(tops.sum()) / total
    return value, (tops - value * bottoms) / total


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Second minus first of two estimates of different prompts, from the ends of their 95% intervals.

    Ends by the square-and-add rule (G. Zou, A. Donner, Statistics in Medicine 27, 2008), which keeps the
    skewness of either interval. Where the prompts were the same after all, the interval is too wide. None
    where either side has no interval. clusters: of the smaller side.
    """
    value, clusters = second.value - first.value, min(first.clusters, second.clusters)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value, None, None, None, clusters)
    low = value - hypot(second.value - second.low, first.high - first.value)
    high = value + hypot(second.high - second.value, first.value - first.low)
    return Estimate(value, None, low, high, clusters)


def independent_ratio(first: Estimate, second: Estimate) -> Estimate:
    """Second over first of two positive estimates: the difference of their logarithms, as above."""
    difference = independent_difference(_logarithm(first), _logarithm(second))
    return _exponential(difference)


def _logarithm(estimate: Estimate) -> Estimate:
    low, high = estimate.low, estimate.high
    known = low is not None and high is not None and low > 0.0
    return replace(
        estimate,
        value=log(estimate.value),
        standard_error=None,
        low=log(low) if known and low is not None else None,
        high=log(high) if known and high is not None else None,
    )


def _exponential(estimate: Estimate) -> Estimate:
    ends = [None if end is None else exp(end) for end in (estimate.low, estimate.high)]
    return replace(estimate, value=exp(estimate.value), low=ends[0], high=ends[1])
