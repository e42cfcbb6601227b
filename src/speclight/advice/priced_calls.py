"""The calls of every configuration along the starts of one family, priced and summed up by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.auto import GROWTH, auto_calls, auto_ceiling
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
    starts: StartSet, rule: str, prices: CallPrices, choice: Choice, *, with_auto: bool
) -> PricedCalls:
    """All configurations chosen that could be priced, as `plan` has them."""
    parts: list[PricedCalls] = []
    unpriced: dict[str, None] = {}
    for calls in traced_calls(starts, rule, choice):
        if prices.can_price(calls):
            parts.extend(_of_growth(starts, calls, prices))
        else:
            is_timed = calls.drafter in prices.drafters
            unpriced[f"{calls.drafter}, {calls.growth}" if is_timed else calls.drafter] = None
    if with_auto:
        parts.extend(_auto(starts, rule, prices, choice))
    return PricedCalls(
        tuple(each for part in parts for each in part.configurations),
        np.concatenate([np.zeros((5, len(starts.prompts), 0)), *(part.sums for part in parts)], axis=2),
        tuple(unpriced),
    )


def _of_growth(starts: StartSet, calls: TracedCalls, prices: CallPrices) -> Iterator[PricedCalls]:
    kept = [place for place, budget in enumerate(calls.node_budgets) if budget <= prices.largest]
    if not kept:
        return
    calls = calls.at(kept)
    seconds, weights = prices.of(calls), calls.weights
    values = (1.0, calls.expected_tokens, seconds.target, seconds.draft, seconds.loop)
    yield PricedCalls(
        tuple(
            Configuration(calls.drafter, calls.growth, calls.rule, budget) for budget in calls.node_budgets
        ),
        np.stack([starts.by_prompt(weights * value) for value in values]),
    )


def _auto(starts: StartSet, rule: str, prices: CallPrices, choice: Choice) -> Iterator[PricedCalls]:
    """Best-first trees of every drafter chosen and timed, each call with a budget of its own."""
    if choice.growths and GROWTH not in choice.growths:
        return
    for drafter, growths in starts.growths.items():
        is_chosen = not choice.drafters or drafter in choice.drafters
        if not is_chosen or GROWTH not in growths or drafter not in prices.drafters:
            continue
        calls = auto_calls(starts, drafter, prices)
        if not calls.calls.sum():
            continue  # windows too short to say
        ceiling = auto_ceiling(starts, drafter, prices)
        sums = (calls.calls, calls.tokens, calls.target, calls.draft, calls.loop)
        yield PricedCalls(
            (Configuration(drafter, GROWTH, rule, ceiling, is_auto=True),),
            np.stack([starts.by_prompt(each)[:, None] for each in sums]),
        )
