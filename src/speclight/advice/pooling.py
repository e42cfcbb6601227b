"""What a family's few prompts say of each configuration, drawn towards what all families say of it.

Calls per token of hundreds of configurations, each from a handful of prompts: the fewest of them are few by
luck more than by merit. So each is drawn towards the mean of all families as far as its spread over prompts
bids (partial pooling, empirical Bayes), in two parts. The level, how well a drafter does in the family with
all of its trees, is one number and well known. What is left for a single tree is mostly noise. How much
families truly differ in either is estimated from the trace: as far as they are apart, less what the spread of
prompts alone makes of it. Ours; docs/theory/pooling.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.priced_calls import PricedCalls
from speclight.arrays import FloatArray

TINY = 1e-300  # in place of 0 below a fraction whose numerator is 0


@dataclass(frozen=True, slots=True, eq=False)
class PartialPooling:
    """How far mean calls of each family are drawn towards those of all; made by `partial_pooling`.

    groups: [drafters, configurations] for a mean over the configurations of each drafter. scale:
    [configurations] standard deviation of calls per token from prompt to prompt of a family. fewest:
    [configurations] calls per token there can be, 1/P. shares: [families, configurations] of each family in
    the mean of all. level, rest: [families, configurations] weight of the family's own prompts in the level
    of the drafter and in what is left, 0 to 1. left_variance: [families, configurations] of calls per token,
    by which families lie apart from where they were drawn.
    """

    groups: FloatArray
    scale: FloatArray
    fewest: FloatArray
    shares: FloatArray
    level: FloatArray
    rest: FloatArray
    left_variance: FloatArray

    def drawn(self, means: FloatArray) -> FloatArray:
        """Mean calls [4, ..., families, configurations], see `PricedCalls.mean_call`, drawn to their mean.

        Seconds of a call follow the level, so that they are those of the trees that the level speaks of.
        """
        centre = (self.shares * means).sum(axis=-2, keepdims=True)
        apart = means - centre
        standard = apart[0] / self.scale
        level = standard @ self.groups.T @ (self.groups > 0.0)
        kept = self.level * apart
        kept[0] = self.scale * (self.level * level + self.rest * (standard - level))
        found = centre + kept
        found[0] = np.clip(found[0], self.fewest, 1.0)
        return found


def mean_calls(families: Sequence[PricedCalls]) -> FloatArray:
    """[4, families, configurations] the mean call of each, by its own prompts alone."""
    return np.stack([each.mean_call(np.ones(each.prompts)) for each in families], axis=1)


def partial_pooling(families: Sequence[PricedCalls]) -> PartialPooling:
    """The pooling of families that hold the same configurations, as their calls per token bid.

    With a single family, or a single prompt of each, nothing tells luck from merit, and nothing is drawn.
    """
    groups, freedom = _groups(families[0]), sum(each.prompts - 1 for each in families)
    fewest = np.array([1.0 / each.node_budget for each in families[0].configurations])
    calls = mean_calls(families)[0]
    if len(families) == 1 or freedom == 0:
        one, even = np.ones_like(calls), np.full_like(calls, 1.0 / len(families))
        return PartialPooling(groups, one[0], fewest, even, one, one, np.zeros_like(calls))
    counts = np.stack([_effective_prompts(each) for each in families])
    apart = [_apart(each, count) for each, count in zip(families, counts, strict=True)]
    variance = np.sum([(each**2).sum(axis=0) for each in apart], axis=0) / freedom
    varies = variance > 0.0
    scale = np.sqrt(np.where(varies, variance, 1.0))
    groups = _normalised(np.where(varies, groups, 0.0))
    found = _families_apart(groups, [each / scale for each in apart], calls / scale, counts, freedom)

    def by_configuration(values: FloatArray, without: float) -> FloatArray:
        return np.where(varies, values @ (groups > 0.0), without)

    return PartialPooling(
        groups,
        scale,
        fewest,
        by_configuration(found.shares, 1.0 / len(families)),
        by_configuration(found.level, 1.0),
        by_configuration(found.rest, 1.0),
        by_configuration(found.left, 0.0) * variance,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _FamiliesApart:
    """See PartialPooling; all [families, drafters], of values in units of `scale`. left: its variance."""

    shares: FloatArray
    level: FloatArray
    rest: FloatArray
    left: FloatArray


def _families_apart(
    groups: FloatArray, apart: Sequence[FloatArray], values: FloatArray, counts: FloatArray, freedom: int
) -> _FamiliesApart:
    """Variances between families by moments.

    apart: of each family, [prompts, configurations], of which the variance is 1. values, counts: [families,
    configurations] means and how many prompts are behind them.
    """
    prompts = np.maximum(counts @ groups.T, TINY)
    # From prompt to prompt: variance of the level, of which what is left makes 1.
    of_level = np.sum([((each @ groups.T) ** 2).sum(axis=0) for each in apart], axis=0) / freedom
    of_rest = np.maximum(1.0 - of_level, 0.0)
    centred = values - values.mean(axis=0)
    levels = centred @ groups.T
    rest = centred - levels @ (groups > 0.0)
    per_prompt = (1.0 / prompts).mean(axis=0)
    between_levels = np.maximum(levels.var(axis=0, ddof=1) - of_level * per_prompt, 0.0)
    between_rests = np.maximum(groups @ rest.var(axis=0, ddof=1) - of_rest * per_prompt, 0.0)
    weights = 1.0 / np.maximum(between_levels + of_level / prompts, TINY)
    level, kept = (
        between / np.maximum(between + noise / prompts, TINY)
        for between, noise in ((between_levels, of_level), (between_rests, of_rest))
    )
    left = (1.0 - level) ** 2 * between_levels + (1.0 - kept) ** 2 * between_rests
    return _FamiliesApart(weights / weights.sum(axis=0), level, kept, left)


def _groups(family: PricedCalls) -> FloatArray:
    names = [each.drafter for each in family.configurations]
    return _normalised(np.array([[each == name for each in names] for name in dict.fromkeys(names)]) * 1.0)


def _normalised(rows: FloatArray) -> FloatArray:
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), TINY)


def _effective_prompts(family: PricedCalls) -> FloatArray:
    """[configurations] as many prompts of as many tokens each would say as much."""
    return family.tokens.sum(axis=0) ** 2 / (family.tokens**2).sum(axis=0)


def _apart(family: PricedCalls, effective: FloatArray) -> FloatArray:
    """[prompts, configurations] how far each prompt is from its family, in calls per token.

    Squares, summed and over prompts - 1, make the variance of one effective prompt: the ratio is linearised.
    """
    total = family.tokens.sum(axis=0)
    from_mean = family.calls - family.calls.sum(axis=0) / total * family.tokens
    return from_mean * family.prompts / total * np.sqrt(effective / family.prompts)
