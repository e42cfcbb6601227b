"""The calls of every configuration along the starts of one family, priced and summed up by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.auto import GROWTH, TracedLaws, auto_calls, auto_ceiling
from speclight.advice.configuration import Configuration
from speclight.advice.prices import CallPrices
from speclight.advice.start_set import StartSet
from speclight.advice.traced_calls import Choice, TracedCalls, traced_calls
from speclight.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PricedCalls:
    """Calls of configurations that draft, summed up by prompt.

    sums: [5, prompts, configurations] how many calls, each weighing as often as a decode starts there; tokens
    expected of them; their seconds of target, drafting and loop, of all texts of a batch. unpriced: drafters,
    and growths as "drafter, growth", whose drafting time is not known.
    """

    configurations: tuple[Configuration, ...]
    sums: FloatArray
    unpriced: tuple[str, ...] = ()

    @property
    def calls(self) -> FloatArray:
        """[prompts, configurations] how many."""
        return self.sums[0]

    @property
    def tokens(self) -> FloatArray:
        """[prompts, configurations] expected of the calls."""
        return self.sums[1]

    @property
    def prompts(self) -> int:
        """How many prompts."""
        return self.sums.shape[1]

    def mean_call(self, times: FloatArray | IntArray) -> FloatArray:
        """[4, ..., configurations] calls for a token, and the seconds of a call: target, draft, loop.

        times: [..., prompts] how often each prompt counts. NaN where none that counts made such a call.
        """
        calls, tokens, *seconds = (times @ each for each in self.sums)
        with np.errstate(invalid="ignore"):
            return np.stack([calls / tokens, *(each / calls for each in seconds)])

    def of(self, configurations: Sequence[Configuration]) -> PricedCalls:
        """Those of some configurations, all of them among these, in that order."""
        number = {each: place for place, each in enumerate(self.configurations)}
        places = [number[each] for each in configurations]
        return PricedCalls(tuple(configurations), self.sums[:, :, places], self.unpriced)


def priced_calls(
    starts: StartSet, rule: str, prices: Sequence[CallPrices], choice: Choice, *, with_auto: bool
) -> tuple[PricedCalls, ...]:
    """All configurations chosen that could be priced, as `plan` has them, for each of the prices.

    Which calls a configuration makes depends on no price, so that is worked out once for all of them.
    """
    parts = [list[PricedCalls]() for _ in prices]
    unpriced = [dict[str, None]() for _ in prices]
    for calls in traced_calls(starts, rule, choice):
        for found, unknown, machine in zip(parts, unpriced, prices, strict=True):
            if machine.can_price(calls):
                found.extend(_of_growth(starts, calls, machine))
            else:
                is_timed = calls.drafter in machine.drafters
                unknown[f"{calls.drafter}, {calls.growth}" if is_timed else calls.drafter] = None
    if with_auto:
        for drafter in _paced_drafters(starts, choice):
            laws = TracedLaws(starts, drafter)
            for found, machine in zip(parts, prices, strict=True):
                if drafter in machine.drafters:
                    found.extend(_auto(laws, rule, machine))
    none = np.zeros((5, len(starts.prompts), 0))
    return tuple(
        PricedCalls(
            tuple(each for part in found for each in part.configurations),
            np.concatenate([none, *(part.sums for part in found)], axis=2),
            tuple(unknown),
        )
        for found, unknown in zip(parts, unpriced, strict=True)
    )


def _of_growth(starts: StartSet, calls: TracedCalls, prices: CallPrices) -> Iterator[PricedCalls]:
    kept = [place for place, budget in enumerate(calls.node_budgets) if budget <= prices.largest]
    if not kept:
        return
    if len(kept) < len(calls.node_budgets):
        calls = calls.at(kept)
    seconds, weights = prices.of(calls), calls.weights
    values = (1.0, calls.expected_tokens, seconds.target, seconds.draft, seconds.loop)
    yield PricedCalls(
        tuple(
            Configuration(calls.drafter, calls.growth, calls.rule, budget) for budget in calls.node_budgets
        ),
        np.stack([starts.by_prompt(weights * value) for value in values]),
    )


def _paced_drafters(starts: StartSet, choice: Choice) -> list[str]:
    """The drafters chosen whose best-first trees were traced, unless other growths alone are chosen."""
    if choice.growths and GROWTH not in choice.growths:
        return []
    return [
        drafter
        for drafter, growths in starts.growths.items()
        if GROWTH in growths and (not choice.drafters or drafter in choice.drafters)
    ]


def _auto(laws: TracedLaws, rule: str, prices: CallPrices) -> Iterator[PricedCalls]:
    """Best-first trees of a drafter, each call with a budget of its own."""
    calls, starts = auto_calls(laws, prices), laws.starts
    if not calls.calls.sum():
        return  # windows too short to say
    ceiling = auto_ceiling(starts, laws.drafter, prices)
    sums = (calls.calls, calls.tokens, calls.target, calls.draft, calls.loop)
    yield PricedCalls(
        (Configuration(laws.drafter, GROWTH, rule, ceiling, is_auto=True),),
        np.stack([starts.by_prompt(each)[:, None] for each in sums]),
    )
