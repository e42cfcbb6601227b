"""Lemma 7 from a measured pair of target and drafter, beside the tokens per call its trees had there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import IntArray
from speclight.errors import InvalidInput
from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.estimates import Estimate, mean_over, within
from speclight.measure.step_histogram import StepHistogram
from speclight.seeds import stream
from speclight.theory.bound import Bound
from speclight.theory.catalogue import about_drafters
from speclight.theory.ergodic.bootstrap import resample_prompts
from speclight.theory.iid.known_drafter import DrafterReplica, KnownDrafter
from speclight.theory.iid.lemma_7 import DrafterMoments, moments_of_contexts
from speclight.theory.known import Known
from speclight.theory.laws.step_law import StepLaw, coarsened

REPLICAS = 100
# 2^-7 nats: bounds on a coarser lattice are lower, by 0.1% here, the same in every replica and in the value
# they are compared with.
REPLICA_COARSENING = 8


@dataclass(frozen=True, slots=True)
class DrafterLimits:
    """What Lemma 7 says about a drafter at one node budget, and what its best-first trees gave.

    measured: expected tokens per call at the recorded starts, clustered by prompt. bounds: as printed,
    corrected to leading order, corrected at this P; each with a bootstrap interval by prompts unless there is
    one only.
    """

    node_budget: int
    moments: DrafterMoments
    measured: Estimate
    bounds: tuple[Bound, ...]


def drafter_limits(
    record: DrafterProfile, node_budgets: Sequence[int], seed: int = 0, replicas: int = REPLICAS
) -> tuple[DrafterLimits, ...]:
    """The limits at each node budget. replicas: of the bootstrap, seeded by `seed`; 0 for no intervals.

    Raises InvalidInput for a node budget above the recorded one.
    """
    drafter = known_drafter(record, seed, replicas)
    known = Known(drafter=drafter)
    return tuple(
        DrafterLimits(
            budget, drafter.moments, measured_tokens(record, budget), known.bounds(budget, about_drafters())
        )
        for budget in node_budgets
    )


def measured_tokens(record: DrafterProfile, node_budget: int) -> Estimate:
    """Tokens per call of the drafter's best-first trees of P nodes at the recorded starts.

    Raises InvalidInput for a node budget above the recorded one.
    """
    if node_budget > record.node_budget:
        raise InvalidInput(
            f"the drafter's trees were grown to {record.node_budget} nodes, got a budget of "
            f"{node_budget}; measure them again at a larger one"
        )
    names = [start.prompt_id for start in record.starts]
    expected = [start.tokens_per_call(node_budget) for start in record.starts]
    return within(mean_over(names, expected), 1.0, float(node_budget))


def known_drafter(record: DrafterProfile, seed: int = 0, replicas: int = REPLICAS) -> KnownDrafter:
    """What a record says about its drafter, with bootstrap replicas by prompt where there are several."""
    prompts = list(dict.fromkeys(start.prompt_id for start in record.starts))
    plain = np.ones(len(prompts), dtype=np.int64)
    moments, law = _resampled(record, prompts, plain)
    if len(prompts) < 2 or replicas == 0:
        return KnownDrafter(moments, law)
    draws = resample_prompts(len(prompts), replicas, stream(seed))
    return KnownDrafter(
        moments,
        law,
        unsampled=_replica(record, prompts, plain),
        replicas=tuple(_replica(record, prompts, drawn) for drawn in draws),
    )


def _replica(record: DrafterProfile, prompts: list[str], drawn: IntArray) -> DrafterReplica:
    moments, law = _resampled(record, prompts, drawn)
    return DrafterReplica(moments, coarsened(law, REPLICA_COARSENING))


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
