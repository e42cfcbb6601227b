"""Sampling error of a minimised dual form: sums per prompt, their jackknife and their cluster bootstrap.

Texts of one prompt are alike, so the prompt is the unit of resampling. Everything here works on sums per
prompt, so a replica costs one matrix product however many tokens there were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Interval

# Prompts left out in one array operation: a few MB of temporaries with hundreds of candidate thresholds.
PROMPTS_PER_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class DualSums:
    """The dual form, summed per prompt and stratum at each candidate threshold.

    dual: [prompts, strata, candidates] sum over starts of P e^-t + sum_{d<P} (1 - e^(S_d - t))^+, weighted.
    starts: [prompts] total start weight. The estimate is sum over strata of the smallest column sum, divided
    by the total weight.
    """

    dual: FloatArray
    starts: FloatArray


@dataclass(frozen=True, slots=True)
class Jackknife:
    """Bias and standard error of an estimate, by leaving out one prompt at a time.

    bias: estimated bias of the estimate (below 0: too low). Both are NaN if there is one prompt only.
    """

    bias: float
    standard_error: float


def minimised_value(sums: DualSums) -> float:
    """The estimate on all prompts."""
    return float(sums.dual.sum(axis=0).min(axis=-1).sum() / sums.starts.sum())


def minimisers(sums: DualSums) -> IntArray:
    """[strata] index of the candidate at which each stratum's dual form is smallest."""
    return sums.dual.sum(axis=0).argmin(axis=-1).astype(np.int64)


def linearised_standard_error(sums: DualSums) -> float:
    """Standard error of the estimate with thresholds held at their minimisers, prompts independent.

    Holding them is right to first order: at a minimum the estimate does not depend on the threshold.
    NaN with fewer than two prompts.
    """
    chosen = np.take_along_axis(sums.dual, minimisers(sums)[None, :, None], axis=-1)[..., 0].sum(axis=-1)
    return ratio_standard_error(chosen, sums.starts)


def ratio_standard_error(numerators: FloatArray, denominators: FloatArray) -> float:
    """Standard error of sum(numerators)/sum(denominators) over independent prompts [prompts]; NaN below two.

    Prompts with denominator 0 took no part and are not counted.
    """
    taking_part = denominators > 0
    prompts = int(taking_part.sum())
    if prompts < 2:
        return float("nan")
    total = denominators.sum()
    residuals = (numerators - numerators.sum() / total * denominators)[taking_part]
    return float(np.sqrt(prompts / (prompts - 1) * (residuals**2).sum()) / total)


def jackknife(sums: DualSums) -> Jackknife:
    """Leave one prompt out at a time, thresholds minimised anew each time.

    The bias of a minimum over a noisy mean is of order 1/prompts; (prompts - 1)(mean of the left-out values -
    value) estimates it.
    """
    taking_part = np.flatnonzero(sums.starts > 0)
    prompts = len(taking_part)
    if prompts < 2:
        return Jackknife(float("nan"), float("nan"))
    total, weight = sums.dual.sum(axis=0), sums.starts.sum()
    batches = np.array_split(taking_part, -(-prompts // PROMPTS_PER_BATCH))
    left_out = np.concatenate(
        [(total - sums.dual[g]).min(axis=-1).sum(axis=-1) / (weight - sums.starts[g]) for g in batches]
    )
    bias = (prompts - 1) * (left_out.mean() - minimised_value(sums))
    spread = (prompts - 1) / prompts * ((left_out - left_out.mean()) ** 2).sum()
    return Jackknife(float(bias), float(np.sqrt(spread)))


def resample_prompts(prompts: int, replicas: int, rng: np.random.Generator) -> IntArray:
    """[replicas, prompts] how often each prompt is drawn when `prompts` are drawn with replacement."""
    if prompts < 1 or replicas < 1:
        raise InvalidInput(f"need at least one prompt and one replica, got {prompts} and {replicas}")
    return rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=replicas)


def bootstrap_values(sums: DualSums, draws: IntArray) -> FloatArray:
    """[replicas] the estimate on each resampled set of prompts; draws from `resample_prompts`.

    Raises InvalidInput if the draws are for another number of prompts. A replica without any start is left
    out (it can occur only if most prompts have none).
    """
    prompts, strata, candidates = sums.dual.shape
    if draws.shape[1] != prompts:
        raise InvalidInput(f"draws are for {draws.shape[1]} prompts, the texts have {prompts}")
    counts = draws.astype(np.float64)
    weights = counts @ sums.starts
    totals = (counts @ sums.dual.reshape(prompts, -1)).reshape(-1, strata, candidates)
    some = weights > 0
    return totals[some].min(axis=-1).sum(axis=-1) / weights[some]


def basic_interval(value: float, replicas: FloatArray, level: float) -> Interval:
    """[2 value - upper quantile, 2 value - lower quantile]: reflecting undoes the replicas' own bias."""
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"the level must lie between 0 and 1, got {level}")
    low, high = np.quantile(replicas, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(2 * value - high), float(2 * value - low), level)
