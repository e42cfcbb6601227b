"""Tokens per second of every configuration from a trace and call times, and which one is best."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.configuration import Configuration
from speclight.advice.prediction import Prediction, predictions
from speclight.advice.priced_calls import PricedCalls, priced_calls
from speclight.advice.prices import CallPrices
from speclight.advice.start_set import StartSet, start_set
from speclight.advice.traced_calls import Choice
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate
from speclight.measure.trace.traced import TracedStart

ALL = Choice()
PLAIN = Configuration(NO_DRAFTER, "none", "none", 1)


@dataclass(frozen=True, slots=True)
class FreeOracle:
    """What nobody can beat who drafts deterministic trees: the target's own best ones, for nothing.

    At uniform positions: node_budget at which tokens_per_second is largest, and tokens_per_call there.
    """

    node_budget: int
    tokens_per_call: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Every configuration that could be priced, the fastest first, plain decoding among them.

    mix: share of the emitted tokens by family. unpriced: drafters, and growths as "drafter, growth", whose
    drafting time is not known. largest_budget: of the call times; larger trees were left out. batch_size:
    texts decoded together. limit: tokens per second of all of them that no deterministic drafting exceeds
    (`speed_limit.limit_of_mix`); None if nobody asked.
    """

    predictions: tuple[Prediction, ...]
    oracle: FreeOracle
    mix: Mapping[str, float]
    unpriced: tuple[str, ...]
    largest_budget: int
    batch_size: int
    limit: float | None = None

    @property
    def best(self) -> Prediction:
        """The fastest."""
        return self.predictions[0]

    @property
    def plain(self) -> Prediction:
        """Plain decoding."""
        return next(found for found in self.predictions if found.configuration.is_plain)

    @property
    def best_draft(self) -> Prediction | None:
        """The fastest that drafts, as in `fastest_drafts`; None if none could be priced."""
        return next(iter(self.fastest_drafts(1)), None)

    def fastest_drafts(self, count: int) -> tuple[Prediction, ...]:
        """So many that draft, the fastest first; fewer if there are fewer.

        Where plain decoding is best, those that need not draft come last: they are fast by not doing it.
        """
        drafting = [found for found in self.predictions if not found.configuration.is_plain]
        if self.best.configuration.is_plain:
            drafting.sort(key=lambda found: found.configuration.is_auto)
        return tuple(drafting[:count])

    def speed_up(self, found: Prediction) -> Estimate:
        """Times the speed of plain decoding, which depends on no text."""
        plain, speed = self.plain.tokens_per_second.value, found.tokens_per_second

        def over(part: float | None) -> float | None:
            return None if part is None else part / plain

        error, low, high = over(speed.standard_error), over(speed.low), over(speed.high)
        return Estimate(speed.value / plain, error, low, high, speed.clusters)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a plan is for.

    mix: share of the emitted tokens by family, positive, whatever their sum; equal shares of all families of
    the trace if None.
    """

    prices: CallPrices
    mix: Mapping[str, float] | None = None


def plan(
    starts: Sequence[TracedStart],
    rule: str,
    prices: CallPrices,
    mix: Mapping[str, float] | None = None,
    choice: Choice = ALL,
    *,
    with_auto: bool = False,
) -> Plan:
    """The plan for one machine and mix, see `plans`."""
    (found,) = plans(starts, rule, [Wanted(prices, mix)], choice, with_auto=with_auto)
    return found


def plans(
    starts: Sequence[TracedStart],
    rule: str,
    wanted: Sequence[Wanted],
    choice: Choice = ALL,
    *,
    with_auto: bool = False,
) -> tuple[Plan, ...]:
    """Price every configuration chosen, for each machine and mix; what they share is worked out once.

    rule: as for `score`. with_auto: whether budgets that each call sets are among the
    configurations, see `advice.auto`. Few prompts of a family are drawn towards all families of the
    trace (`advice.pooling`), what choosing the fastest of many flatters is taken off, and intervals are those
    of the whole choice (`advice.selection`).
    Raises InvalidInput as `score`, and for a family in a mix that the trace does not hold.
    """
    by_family: dict[str, list[TracedStart]] = {}
    for start in starts:
        by_family.setdefault(start.family, []).append(start)
    if not by_family:
        start_set(starts)  # says that there are none
    mixes = [_shares(by_family, each.mix) for each in wanted]
    together = {family: start_set(own) for family, own in by_family.items()}
    prices = [each.prices for each in wanted]
    priced = [priced_calls(own, rule, prices, choice, with_auto=with_auto) for own in together.values()]
    return tuple(
        _plan(together, families, machine, mix)
        for families, machine, mix in zip(zip(*priced, strict=True), prices, mixes, strict=True)
    )


def _plan(
    together: Mapping[str, StartSet],
    priced: Sequence[PricedCalls],
    prices: CallPrices,
    shares: Mapping[str, float],
) -> Plan:
    """The plan of families whose calls are priced for its machine, in the order of `together`."""
    of_all = [shares.get(family, 0.0) for family in together]
    drafting = predictions(priced, of_all, prices.target.batch_size)
    prompts = sum(len(together[family].prompts) for family in shares)
    found = [_plain(prices, prompts), *drafting]
    return Plan(
        predictions=tuple(sorted(found, key=lambda each: -each.tokens_per_second.value)),
        oracle=_oracle([(share, together[family]) for family, share in shares.items()], prices),
        mix=shares,
        unpriced=tuple(dict.fromkeys(name for each in priced for name in each.unpriced)),
        largest_budget=prices.largest,
        batch_size=prices.target.batch_size,
    )


def _shares(families: Collection[str], mix: Mapping[str, float] | None) -> dict[str, float]:
    """Those of the families in the mix, summing to 1. families: of the trace."""
    wanted = dict.fromkeys(families, 1.0) if mix is None else dict(mix)
    for family, share in wanted.items():
        if family not in families:
            raise InvalidInput(
                f"the mix names the family {family!r}, expected one of {', '.join(families)}, which the "
                "trace holds",
                argument="mix",
            )
        if not share > 0.0:
            raise InvalidInput(
                f"got the share {share} of {family!r}, expected one above 0; leave the family out",
                argument="mix",
            )
    if not wanted:
        raise InvalidInput("got an empty mix, expected at least one family", argument="mix")
    total = sum(wanted.values())
    return {family: share / total for family, share in wanted.items()}


def _plain(prices: CallPrices, prompts: int) -> Prediction:
    speed, error = prices.target.batch_size / prices.plain_seconds, 0.0 if prompts > 1 else None
    low = high = None if error is None else speed
    certain = Estimate(speed, error, low, high, prompts)
    loop = prices.plain_loop
    return Prediction(PLAIN, certain, 1.0, prices.plain_seconds - loop, 0.0, loop)


def _oracle(families: Sequence[tuple[float, StartSet]], prices: CallPrices) -> FreeOracle:
    seconds = prices.by_size + prices.plain_loop
    reached = min(prices.largest, *(starts.best_tokens.shape[1] for _, starts in families))
    of_family = [share / starts.best_tokens[:, :reached].mean(axis=0) for share, starts in families]
    calls = np.sum(of_family, axis=0)  # of a token
    speeds = prices.target.batch_size / (calls * seconds[:reached])
    best = int(np.argmax(speeds))
    return FreeOracle(best + 1, float(1.0 / calls[best]), float(speeds[best]))
