"""The cheapest way to cut sampled texts into calls whose drafts are chains, with a charge for each depth.

A chain has one node of each depth, so a call that emits k tokens is charged alpha + sum_{1<=j<k} lambda_j
e^(S_j), alpha = 1 - sum_j lambda_j, S_j the surprisal of its first j tokens: E[e^(S_j); X > j] <= 1 for every
depth j says that no decode is charged more than its calls (docs/theory/drafter.md). Any lambda is valid, so
the one of a prompt is chosen on the prompts of the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.theory.compiled import compiled
from speclight.theory.ergodic.folds import prompt_folds
from speclight.theory.ergodic.segments import TextArrays, cheapest_segments

# Mirror ascent: more steps lower the bound by less than 1%. Any charges are valid.
STEPS = 120
FIRST_STEP = 0.5
# e^(S_j) has a heavy tail: steps are shortened where a slope is larger.
LARGEST_SLOPE = 3.0


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class ChainCuts:
    """The cheapest cuts of all texts into calls, each prompt charged as is best on other prompts.

    costs: [prompts] sums over its texts, in calls. last_calls: [prompts] what the last calls of its cut texts
    are charged for being calls.
    """

    costs: FloatArray
    last_calls: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """Of each text: cost, number of calls, and sums of e^(S_j) at each depth, [texts, depths]."""

    cost: FloatArray
    calls: FloatArray
    sizes: FloatArray


def cheapest_chains(texts: TextArrays, drafted: int) -> ChainCuts:
    """Cuts into calls of at most `drafted` + 1 tokens."""
    costs, last_calls = np.zeros(texts.prompt_count), np.zeros(texts.prompt_count)
    for mine, chosen_on in prompt_folds(texts.prompts, texts.prompt_count):
        charges = _best_charges(texts, drafted, chosen_on)
        found = _cut(texts, charges)
        costs += texts.by_prompt(np.where(mine, found.cost, 0.0))
        last_calls += texts.by_prompt(np.where(mine & texts.cut, charges[0], 0.0))
    return ChainCuts(costs, last_calls)


def _best_charges(texts: TextArrays, drafted: int, chosen_on: BoolArray) -> FloatArray:
    """[drafted + 1] alpha and the lambda of each depth, sum 1, that make the cheapest cuts dearest.

    The cost is concave in the charges, which form a simplex, so mirror ascent finds the best ones: the slope
    of lambda_j is the sum of e^(S_j) less the number of calls, that of alpha is 0.
    """
    charges = np.full(drafted + 1, 0.5 / drafted)
    charges[0] = 0.5
    best, most, mean = charges, -1.0, np.zeros_like(charges)
    for step in range(STEPS + 1):
        # Steps go to and fro across the best charges; their mean over the second half, tried last, is closer.
        charges = mean / mean.sum() if step == STEPS else charges
        found = _cut(texts, charges)
        cost = float(found.cost[chosen_on].sum())
        if cost > most:
            best, most = charges, cost
        if 2 * step >= STEPS:
            mean = mean + charges
        slopes = found.sizes[chosen_on].sum(axis=0) / found.calls[chosen_on].sum() - 1.0
        slopes[0] = 0.0
        length = FIRST_STEP / np.sqrt(step + 1.0) / max(1.0, np.abs(slopes).max() / LARGEST_SLOPE)
        charges = charges * np.exp(length * slopes)
        charges /= charges.sum()
    return best


def _cut(texts: TextArrays, charges: FloatArray) -> _Cut:
    of_depth = np.append(0.0, charges[1:])  # the root is charged with its call
    found = cheapest_segments(texts, charges[0], 1.0, len(charges), of_depth)
    sizes = np.zeros((len(found.cost), len(charges)))
    compiled(_sum_by_depth)(texts.growth, texts.begins, found.ends, sizes)
    return _Cut(found.cost, found.calls, sizes)


def _sum_by_depth(growth: FloatArray, begins: IntArray, ends: IntArray, sizes: FloatArray) -> None:
    """Fill sizes [texts, depths] with the sums of e^(S_j) over the calls of each text."""
    for text in range(len(begins) - 1):
        first, place = begins[text], 0
        while first + place < begins[text + 1]:
            end, weight = ends[first + place], 1.0
            for depth in range(end - place):
                sizes[text, depth] += weight
                weight *= growth[first + place + depth]
            place = end
