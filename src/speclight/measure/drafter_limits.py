"""Lemma 7 from a measured pair of target and drafter, beside the tokens per call its trees had there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.estimates import CONFIDENCE, Estimate, mean_over, within
from speclight.measure.step_histogram import StepHistogram
from speclight.seeds import stream
from speclight.theory.bound import Bound
from speclight.theory.ergodic.bootstrap import Interval, resample_prompts
from speclight.theory.iid.lemma_7 import DrafterMoments, lemma_7_forms, moments_of_contexts
from speclight.theory.laws.step_law import StepLaw, coarsened
from speclight.theory.trace_bounds import MeasuredBound

REPLICAS = 100
# 2^-7 nats: bounds on a coarser lattice are lower, by 0.1% here, the same in every replica and in the value
# they are compared with.
REPLICA_COARSENING = 8


@dataclass(frozen=True, slots=True)
class DrafterLimits:
    """What Lemma 7 says of a drafter at one node budget, and what its best-first trees gave.

    measured: tokens per call at the recorded starts, clustered by prompt. bounds: as printed, corrected to
    leading order, corrected at this P; each with a bootstrap interval by prompts unless there is one only.
    """

    node_budget: int
    moments: DrafterMoments
    measured: Estimate
    bounds: tuple[MeasuredBound, ...]


def drafter_limits(
    record: DrafterProfile, node_budget: int, seed: int = 0, replicas: int = REPLICAS
) -> DrafterLimits:
    """replicas: of the bootstrap, seeded by `seed`; 0 for no intervals.

    Raises InvalidInput for a node budget above the recorded one.
    """
    if node_budget > record.settings.node_budget:
        raise InvalidInput(
            f"the drafter's trees were grown to {record.settings.node_budget} nodes, got a budget of "
            f"{node_budget}; measure them again at a larger one"
        )
    names = [start.prompt_id for start in record.starts]
    emitted = [float(start.tokens_emitted(node_budget)) for start in record.starts]
    prompts = list(dict.fromkeys(names))
    plain = np.ones(len(prompts), dtype=np.int64)
    moments, law = _resampled(record, prompts, plain)
    bounds = lemma_7_forms(moments, law, node_budget)
    intervals: list[Interval | None] = [None] * len(bounds)
    if len(prompts) > 1 and replicas > 0:
        draws = resample_prompts(len(prompts), replicas, stream(seed))
        values = [_coarse_values(record, prompts, drawn, node_budget) for drawn in (plain, *draws)]
        shifts = np.array(values[1:]) - np.array(values[0])
        intervals = [_interval(bound, shift) for bound, shift in zip(bounds, shifts.T, strict=True)]
    return DrafterLimits(
        node_budget,
        moments,
        within(mean_over(names, emitted), 1.0, float(node_budget)),
        tuple(MeasuredBound(bound, None, found) for bound, found in zip(bounds, intervals, strict=True)),
    )


def _interval(bound: Bound, shifts: FloatArray) -> Interval:
    low, high = np.quantile(shifts, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(max(bound.value + float(low), 0.0), bound.value + float(high), CONFIDENCE)


def _coarse_values(
    record: DrafterProfile, prompts: list[str], drawn: IntArray, node_budget: int
) -> list[float]:
    moments, law = _resampled(record, prompts, drawn)
    return [bound.value for bound in lemma_7_forms(moments, coarsened(law, REPLICA_COARSENING), node_budget)]


def _resampled(record: DrafterProfile, prompts: list[str], drawn: IntArray) -> tuple[DrafterMoments, StepLaw]:
    """The moments and the drafter's step law with each prompt counted as often as drawn."""
    times = dict(zip(prompts, drawn.tolist(), strict=True))
    moments = moments_of_contexts(
        [start.pair.missed for start in record.starts],
        [start.pair.cross_entropy for start in record.starts],
        [times[start.prompt_id] for start in record.starts],
    )
    pooled = StepHistogram("", next(iter(record.histograms.values())).vocabulary_size, ())
    for prompt, count in times.items():
        pooled.add_times(record.histograms[prompt], count)
    return moments, pooled.step_law()
