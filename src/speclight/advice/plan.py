"""Tokens per second of every configuration from a trace and call times, and which one is best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from speclight.advice.auto import GROWTH, auto_calls, auto_ceiling
from speclight.advice.configuration import Configuration
from speclight.advice.prices import CallPrices
from speclight.advice.start_set import StartSet, start_set
from speclight.advice.traced_calls import Choice, TracedCalls, traced_calls
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, half_width
from speclight.measure.trace.traced import TracedStart

ALL = Choice()
PLAIN = Configuration(NO_DRAFTER, "none", "none", 1)


@dataclass(frozen=True, slots=True)
class Prediction:
    """How fast a configuration decodes.

    tokens_per_second: of all texts of a batch together, with a 95% interval from prompts alone; call times
    count as known. tokens_per_call: of one text. target_seconds, draft_seconds, loop_seconds: of one call, on
    average; the latter is all that is neither.
    """

    configuration: Configuration
    tokens_per_second: Estimate
    tokens_per_call: float
    target_seconds: float
    draft_seconds: float
    loop_seconds: float = 0.0


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


def plan(
    starts: Sequence[TracedStart],
    rule: str,
    prices: CallPrices,
    mix: Mapping[str, float] | None = None,
    choice: Choice = ALL,
    *,
    with_auto: bool = False,
) -> Plan:
    """Price every configuration chosen.

    rule: as for `score`. mix: share of the emitted tokens by family, positive, whatever their sum; equal
    shares of all families of the trace if None. with_auto: whether budgets that each call sets are among the
    configurations, see `advice.auto`. Choosing the fastest of many by the same starts flatters it:
    its interval is that of a configuration chosen beforehand.
    Raises InvalidInput as `score`, and for a family in the mix that the trace does not hold.
    """
    families = _families(starts, mix)
    shares = {family: share for family, (share, _) in families.items()}
    found: dict[Configuration, list[tuple[float, Prediction]]] = {PLAIN: []}
    unpriced: dict[str, None] = {}
    oracles: list[tuple[float, StartSet]] = []
    for share, own in families.values():
        together = start_set(own)
        oracles.append((share, together))
        found[PLAIN].append((share, _plain(prices, len(together.prompts))))
        for calls in traced_calls(together, rule, choice):
            if not prices.can_price(calls):
                is_timed = calls.drafter in prices.drafters
                named = f"{calls.drafter}, {calls.growth}" if is_timed else calls.drafter
                unpriced[named] = None
                continue
            for prediction in _predictions(together, calls, prices):
                found.setdefault(prediction.configuration, []).append((share, prediction))
        if with_auto:
            for prediction in _auto(together, rule, prices, choice):
                found.setdefault(prediction.configuration, []).append((share, prediction))
    mixed = [_mixed(parts) for parts in found.values() if len(parts) == len(families)]
    return Plan(
        predictions=tuple(sorted(mixed, key=lambda each: -each.tokens_per_second.value)),
        oracle=_oracle(oracles, prices),
        mix=shares,
        unpriced=tuple(unpriced),
        largest_budget=prices.largest,
        batch_size=prices.target.batch_size,
    )


def _families(
    starts: Sequence[TracedStart], mix: Mapping[str, float] | None
) -> dict[str, tuple[float, list[TracedStart]]]:
    by_family: dict[str, list[TracedStart]] = {}
    for start in starts:
        by_family.setdefault(start.family, []).append(start)
    wanted = dict.fromkeys(by_family, 1.0) if mix is None else dict(mix)
    for family, share in wanted.items():
        if family not in by_family:
            raise InvalidInput(
                f"the mix names the family {family!r}, expected one of {', '.join(by_family)}, which the "
                "trace holds",
                argument="mix",
            )
        if not share > 0.0:
            raise InvalidInput(
                f"got the share {share} of {family!r}, expected one above 0; leave the family out",
                argument="mix",
            )
    if not wanted:
        start_set(starts)  # says that there are none
        raise InvalidInput("got an empty mix, expected at least one family", argument="mix")
    total = sum(wanted.values())
    return {family: (share / total, by_family[family]) for family, share in wanted.items()}


def _plain(prices: CallPrices, prompts: int) -> Prediction:
    speed, error = prices.target.batch_size / prices.plain_seconds, 0.0 if prompts > 1 else None
    low = high = None if error is None else speed
    certain = Estimate(speed, error, low, high, prompts)
    loop = prices.plain_loop
    return Prediction(PLAIN, certain, 1.0, prices.plain_seconds - loop, 0.0, loop)


def _predictions(starts: StartSet, calls: TracedCalls, prices: CallPrices) -> Iterator[Prediction]:
    kept = [place for place, budget in enumerate(calls.node_budgets) if budget <= prices.largest]
    if not kept:
        return
    calls = calls.at(kept)
    seconds, weights = prices.of(calls), calls.weights
    total = starts.by_prompt(weights * seconds.total)
    tokens = starts.by_prompt(weights * calls.expected_tokens) * prices.target.batch_size

    def mean(values: np.ndarray) -> list[float]:
        return ((weights * values).sum(axis=0) / weights.sum(axis=0)).tolist()

    columns = zip(
        calls.node_budgets,
        mean(calls.expected_tokens),
        mean(seconds.target),
        mean(seconds.draft),
        mean(seconds.loop),
        strict=True,
    )
    for place, (budget, per_call, target, draft, loop) in enumerate(columns):
        yield Prediction(
            Configuration(calls.drafter, calls.growth, calls.rule, budget),
            starts.ratio(tokens[:, place], total[:, place]),
            per_call,
            target,
            draft,
            loop,
        )


def _auto(starts: StartSet, rule: str, prices: CallPrices, choice: Choice) -> Iterator[Prediction]:
    """Best-first trees of every drafter chosen and timed, each call with a budget of its own."""
    if choice.growths and GROWTH not in choice.growths:
        return
    for drafter, growths in starts.growths.items():
        is_chosen = not choice.drafters or drafter in choice.drafters
        if not is_chosen or GROWTH not in growths or drafter not in prices.drafters:
            continue
        calls = auto_calls(starts, drafter, prices)
        total = calls.calls.sum()
        if not total:
            continue  # windows too short to say
        seconds = starts.by_prompt(calls.target + calls.draft + calls.loop)
        yield Prediction(
            Configuration(drafter, GROWTH, rule, auto_ceiling(starts, drafter, prices), is_auto=True),
            starts.ratio(prices.target.batch_size * starts.by_prompt(calls.tokens), seconds),
            float(calls.tokens.sum() / total),
            float(calls.target.sum() / total),
            float(calls.draft.sum() / total),
            float(calls.loop.sum() / total),
        )


def _mixed(parts: Sequence[tuple[float, Prediction]]) -> Prediction:
    """One prediction of families: seconds of a token are averaged by their shares of the tokens."""
    if len(parts) == 1:
        return parts[0][1]
    per_token = sum(share / each.tokens_per_second.value for share, each in parts)
    calls = [share / each.tokens_per_call for share, each in parts]  # of each family, per token
    a_call = sum(calls)

    def mean(values: Iterable[float]) -> float:
        return sum(weight * value for weight, value in zip(calls, values, strict=True)) / a_call

    return replace(
        parts[0][1],
        tokens_per_second=_of_families(parts, 1.0 / per_token),
        tokens_per_call=1.0 / a_call,
        target_seconds=mean(each.target_seconds for _, each in parts),
        draft_seconds=mean(each.draft_seconds for _, each in parts),
        loop_seconds=mean(each.loop_seconds for _, each in parts),
    )


def _of_families(parts: Sequence[tuple[float, Prediction]], value: float) -> Estimate:
    clusters = sum(each.tokens_per_second.clusters for _, each in parts)
    errors = [
        (share, each.tokens_per_second.value, each.tokens_per_second.standard_error) for share, each in parts
    ]
    variance = 0.0
    for share, speed, error in errors:
        if error is None:
            return Estimate(value, None, None, None, clusters)
        variance += (share * error / speed**2) ** 2  # of a token's seconds
    error = sqrt(variance) * value**2
    half = half_width(error, clusters - len(parts) + 1)
    return Estimate(value, error, value - half, value + half, clusters)


def _oracle(families: Sequence[tuple[float, StartSet]], prices: CallPrices) -> FreeOracle:
    seconds = prices.by_size() + prices.plain_loop
    reached = min(prices.largest, *(starts.best_tokens.shape[1] for _, starts in families))
    of_family = [share / starts.best_tokens[:, :reached].mean(axis=0) for share, starts in families]
    calls = np.sum(of_family, axis=0)  # of a token
    speeds = prices.target.batch_size / (calls * seconds[:reached])
    best = int(np.argmax(speeds))
    return FreeOracle(best + 1, float(1.0 / calls[best]), float(speeds[best]))
