"""Figure 1: Lemma 7 against the tokens per call that a drafter has, a point per drafter and data set.

The paper draws one drafter on several targets and calls the points near linear. Here drafters of different
quality are laid over the answers of one target, and four readings of the lemma are compared: as printed, its
correction to leading order, the correction at this P, and the coupling bound, which is not below but above:
what any lossless rule could reach with chains of this drafter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.experiments.papers.drafted import DraftedAnswers
from speclight.measure.drafter_depths import chain_coupling, moments_by_depth
from speclight.measure.drafter_limits import known_drafter, measured_tokens
from speclight.measure.estimates import Estimate
from speclight.seeds import stream
from speclight.theory.catalogue import about_drafters
from speclight.theory.known import Known

READINGS = ("lemma_7_printed", "lemma_7_corrected_leading_order", "lemma_7_corrected")
RESAMPLES = 2000
LEVEL = 0.95
FEWEST_POINTS = 3  # a line through two points explains them whatever they are


@dataclass(frozen=True, slots=True)
class DrafterPoint:
    """One drafter on one data set. readings: by READINGS, at P. measured: of its best-first trees of P nodes.

    misses_by_depth: miss probability of a drafted chain's first tokens, from depth 1 on. coupling: the most
    of any lossless rule with such chains.
    """

    data: str
    temperature: float
    drafter: str
    node_budget: int
    measured: Estimate
    readings: dict[str, float]
    misses_by_depth: tuple[float, ...]
    cross_entropy_by_depth: tuple[float, ...]
    coupling: Estimate


@dataclass(frozen=True, slots=True)
class LineFit:
    """The least-squares line measured = intercept + slope * reading over points of one temperature.

    r_squared: of the line; low, high: its 95% interval, drafters and data sets resampled whole (None below
    FEWEST_POINTS points). mean_gap: mean of measured minus reading.
    """

    reading: str
    temperature: float
    points: int
    slope: float
    intercept: float
    r_squared: float
    low: float | None
    high: float | None
    mean_gap: float


def drafter_points(drafted: Sequence[DraftedAnswers], node_budget: int) -> tuple[DrafterPoint, ...]:
    """A point for each. Raises InvalidInput for a node budget above the recorded one."""
    return tuple(_point(item, node_budget) for item in drafted)


def _point(item: DraftedAnswers, node_budget: int) -> DrafterPoint:
    known = Known(drafter=known_drafter(item.record, replicas=0))
    bounds = {bound.name: bound.value for bound in known.bounds(node_budget, about_drafters())}
    depths = moments_by_depth(item.record)
    return DrafterPoint(
        item.data,
        item.temperature,
        item.drafter,
        node_budget,
        measured_tokens(item.record, node_budget),
        {name: bounds[name] for name in READINGS},
        tuple(depth.miss_probability.value for depth in depths),
        tuple(depth.cross_entropy_on_hits.value for depth in depths),
        chain_coupling(item.record),
    )


def line_fits(points: Sequence[DrafterPoint], seed: int = 0) -> tuple[LineFit, ...]:
    """A line for each reading and temperature that has at least two points with different readings."""
    fits: list[LineFit] = []
    for temperature in dict.fromkeys(point.temperature for point in points):
        own = [point for point in points if point.temperature == temperature]
        for reading in READINGS:
            given = np.array([point.readings[reading] for point in own])
            if len(own) >= 2 and np.ptp(given) > 0.0:
                fits.append(_fit(reading, temperature, own, given, seed))
    return tuple(fits)


def _fit(
    reading: str, temperature: float, points: Sequence[DrafterPoint], given: FloatArray, seed: int
) -> LineFit:
    measured = np.array([point.measured.value for point in points])
    slope, intercept = np.polyfit(given, measured, 1).tolist()
    low, high = _interval(points, given, measured, seed)
    return LineFit(
        reading,
        temperature,
        len(points),
        slope,
        intercept,
        _r_squared(given, measured, np.ones(len(points))) or 0.0,  # equal measurements: nothing to explain
        low,
        high,
        float((measured - given).mean()),
    )


def _interval(
    points: Sequence[DrafterPoint], given: FloatArray, measured: FloatArray, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Percentiles of R² over resampled drafters and data sets, each with all of its points."""
    if len(points) < FEWEST_POINTS:
        return None, None
    rng = stream(seed)
    drafters, data = (
        np.unique([getattr(point, name) for point in points], return_inverse=True)[1]
        for name in ("drafter", "data")
    )
    shares: list[float] = []
    for _ in range(RESAMPLES):
        weights = _drawn(drafters, rng) * _drawn(data, rng)
        share = _r_squared(given, measured, weights)
        if share is not None:
            shares.append(share)
    if len(shares) < RESAMPLES / 2:  # most resamples hold one point only
        return None, None
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _drawn(groups: IntArray, rng: np.random.Generator) -> FloatArray:
    count = int(groups.max()) + 1
    times = np.bincount(rng.integers(count, size=count), minlength=count)
    return times[groups].astype(np.float64)


def _r_squared(given: FloatArray, measured: FloatArray, weights: FloatArray) -> float | None:
    if not weights.any():
        return None
    x, y = (values - np.average(values, weights=weights) for values in (given, measured))
    spread = float((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum()) ** 2 / spread if spread > 0.0 else None
