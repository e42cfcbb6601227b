"""Means over prompts with their uncertainty: the prompt is the unit that was drawn independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

import numpy as np

from speclight.errors import InvalidInput
from speclight.theory.ergodic.bootstrap import ratio_standard_error

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured mean with its uncertainty.

    low, high: 95% interval (t quantiles, clustered by prompt). clusters: prompts behind it.
    standard_error, low and high are None where a single prompt allows none.
    """

    value: float
    standard_error: float | None
    low: float | None
    high: float | None
    clusters: int

    @property
    def is_wide(self) -> bool:
        """Whether the interval is wider than the number itself, which then says little."""
        return self.low is not None and self.high is not None and self.high - self.low > abs(self.value)


def ratio_of_totals(
    clusters: Sequence[str], numerators: Sequence[float], denominators: Sequence[float]
) -> Estimate:
    """sum(numerators) / sum(denominators) with a 95% interval, observations of one cluster taken together.

    clusters: [observations] prompt of each observation. denominators: >= 0, positive in sum. Standard error
    by linearisation over clusters, interval with t quantiles at clusters - 1 degrees of freedom; None where
    there is a single cluster. Raises InvalidInput without observations.
    """
    if len(clusters) == 0 or sum(denominators) <= 0:
        raise InvalidInput("a mean needs at least one observation of positive weight, got none")
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    of_cluster = [names[name] for name in clusters]
    tops, bottoms = np.zeros(len(names)), np.zeros(len(names))
    np.add.at(tops, of_cluster, numerators)
    np.add.at(bottoms, of_cluster, denominators)
    value = float(tops.sum() / bottoms.sum())
    if len(names) == 1:
        return Estimate(value, None, None, None, 1)
    error = ratio_standard_error(tops, bottoms)
    half = half_width(error, len(names))
    return Estimate(value, error, value - half, value + half, len(names))


def half_width(standard_error: float, clusters: int) -> float:
    """Half of a 95% interval, t quantiles at clusters - 1 degrees of freedom; NaN for one cluster."""
    # Imported here: bad input to a command that reads records is told without it, the sooner.
    # It is the t quantile of scipy.stats, which is seconds in the importing.
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    return float(stdtrit(clusters - 1, 0.5 + CONFIDENCE / 2)) * standard_error


def within(estimate: Estimate, least: float, most: float) -> Estimate:
    """The estimate with its interval cut to the values that are possible at all."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(estimate.low, least), high=min(estimate.high, most))


def mean_over(clusters: Sequence[str], values: Sequence[float]) -> Estimate:
    """The mean of observations, each of weight one. Otherwise as `ratio_of_totals`."""
    return ratio_of_totals(clusters, values, [1.0] * len(values))


def geometric_mean(clusters: Sequence[str], logarithms: Sequence[float]) -> Estimate:
    """The exponential of the mean of logarithms, as of paired ratios, its interval too.

    standard_error: that of the logarithm times the value, right to first order. Otherwise as `mean_over`.
    """
    mean = mean_over(clusters, logarithms)
    value = exp(mean.value)
    if mean.standard_error is None or mean.low is None or mean.high is None:
        return Estimate(value, None, None, None, mean.clusters)
    return Estimate(value, value * mean.standard_error, exp(mean.low), exp(mean.high), mean.clusters)
