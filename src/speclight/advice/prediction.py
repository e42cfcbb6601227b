"""How fast each configuration decodes a mix of families: pooled, and without the flattery of being chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from speclight.advice.configuration import Configuration
from speclight.advice.pooling import mean_calls, partial_pooling
from speclight.advice.priced_calls import PricedCalls
from speclight.advice.selection import flattery, redrawn_mean_calls
from speclight.arrays import FloatArray
from speclight.measure.estimates import Estimate, half_width


@dataclass(frozen=True, slots=True)
class Prediction:
    """How fast a configuration decodes.

    tokens_per_second: of all texts of a batch together, with a 95% interval from prompts alone; call times
    count as known. tokens_per_call: of one text. target_seconds, draft_seconds, loop_seconds: of one call, on
    average; the latter is all that is neither. own_share: weight of the families' own prompts in how well the
    drafter does there, 0 to 1, the rest being what all families of the trace say (`pooling`). taken_off:
    share of the speed taken off, because its place among all configurations flatters it (`selection`); below
    0 for the slowest.
    """

    configuration: Configuration
    tokens_per_second: Estimate
    tokens_per_call: float
    target_seconds: float
    draft_seconds: float
    loop_seconds: float = 0.0
    own_share: float = 1.0
    taken_off: float = 0.0


def predictions(
    priced: Sequence[PricedCalls], shares: Sequence[float] | FloatArray, batch_size: int
) -> tuple[Prediction, ...]:
    """Every configuration that all families hold, at its place among them.

    priced, shares: of all families of a trace, and of the emitted tokens, 0 for a family not in the mix.
    Families are pooled (`pooling`), what a place flatters is taken off, and intervals are those of the whole
    choice (`selection`), on the logarithm of speed.
    """
    known = set.intersection(*(set(each.configurations) for each in priced))
    common = [each for each in priced[0].configurations if each in known]
    if not common:
        return ()
    families, mix = [each.of(common) for each in priced], np.array(shares)[:, None]
    own = mean_calls(families)
    pooling = partial_pooling(families)
    mixed = _mixed(pooling.drawn(own), mix)
    speeds = batch_size / mixed.seconds_per_token
    blocks = [_mixed(pooling.drawn(again), mix) for again in redrawn_mean_calls(families, own)]
    redrawn = np.concatenate([each.seconds_per_token for each in blocks])
    chosen = flattery(speeds, batch_size / redrawn)
    kept = np.maximum(np.exp(-chosen.bias), mixed.calls_per_token)  # a call emits at least one token
    prompts = [each.prompts for each, share in zip(priced, shares, strict=True) if share > 0.0]
    clusters, freedom = sum(prompts), sum(prompts) - len(prompts)
    error = None
    if min(prompts) > 1:
        left = ((mix * mixed.each_call) ** 2 * pooling.left_variance).sum(axis=0)
        error = np.hypot(chosen.error, np.sqrt(left) / mixed.seconds_per_token)
    columns = zip(
        common,
        (speeds * kept).tolist(),
        [None] * len(common) if error is None else error.tolist(),
        (kept / mixed.calls_per_token).tolist(),
        mixed.seconds.T.tolist(),
        (mix * pooling.level).sum(axis=0).tolist(),
        (1.0 - kept).tolist(),
        strict=True,
    )
    return tuple(
        Prediction(
            told, _around(speed, wide, clusters, freedom), tokens, *seconds, own_share=own, taken_off=off
        )
        for told, speed, wide, tokens, seconds, own, off in columns
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Mixed:
    """Mean calls of a mix of families. seconds: [3, ..., configurations] target, draft, loop of one call.

    calls_per_token, seconds_per_token: [..., configurations]. each_call: [..., families, configurations]
    seconds.
    """

    calls_per_token: FloatArray
    seconds: FloatArray
    seconds_per_token: FloatArray
    each_call: FloatArray


def _mixed(means: FloatArray, shares: FloatArray) -> _Mixed:
    """The mix of mean calls [4, ..., families, configurations]. shares: [families, 1] of the tokens."""
    calls, seconds = shares * means[0], means[1:]
    calls_per_token, spent = calls.sum(axis=-2), (calls * seconds).sum(axis=-2)
    return _Mixed(calls_per_token, spent / calls_per_token, spent.sum(axis=0), seconds.sum(axis=0))


def _around(value: float, error: float | None, clusters: int, freedom: int) -> Estimate:
    """The value with its interval. error: of the logarithm."""
    if error is None:
        return Estimate(value, None, None, None, clusters)
    times = exp(half_width(error, freedom + 1))
    return Estimate(value, value * error, value / times, value * times, clusters)
