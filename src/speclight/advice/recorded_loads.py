"""What a reader may ask of a trace, gathered: each family, and their mix, at the node budgets shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from speclight.advice.plan import ALL
from speclight.advice.prices import CallPrices
from speclight.advice.start_set import StartSet, start_set
from speclight.advice.traced_calls import Choice, TracedCalls, traced_calls
from speclight.advice.what_if import CallTimePreset, Drafted, DraftedCalls, Load, WhatIf
from speclight.arrays import FloatArray
from speclight.measure.estimates import Estimate, half_width, within
from speclight.measure.trace.traced import TracedStart
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.laws.sampled_text import SampledText

LIKELIEST = "best_first"
MIX = "all families"
CALL_STARTS, UNIFORM = "its own call starts", "uniform positions"
# Every P that is easily told apart on a slider.
SHOWN_BUDGETS = (*range(2, 17), 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)


@dataclass(frozen=True, slots=True, eq=False)
class TracedLoad:
    """Starts of a trace, and the whole texts they lie in by family, at one temperature.

    rule: that deterministic trees are verified with. prices: of the machine; its curve ends the node budgets.
    shares: of the emitted tokens by family, summing to 1.
    """

    starts: Sequence[TracedStart]
    texts: Mapping[str, Sequence[SampledText]]
    temperature: float
    rule: str
    prices: CallPrices
    shares: Mapping[str, float]
    choice: Choice = ALL


def what_if_of(traced: Sequence[TracedLoad]) -> WhatIf:
    """All loads of traces of one target, each at a temperature of its own; the first one's machine.

    For each trace the mix of its families comes first, where there are several.
    """
    prices = traced[0].prices
    return WhatIf(
        tuple(load for each in traced for load in _loads(each)),
        call_time_presets(prices.by_size.tolist()),
        prices.plain_loop,
    )


def call_time_presets(seconds: Sequence[float]) -> tuple[CallTimePreset, ...]:
    """The machine as measured, and two that bound what machines do. seconds: [nodes] with 1, 2, ... nodes."""
    plain, nodes = seconds[0], range(1, len(seconds) + 1)
    return (
        CallTimePreset("measured", "this machine, as measured", tuple(seconds)),
        CallTimePreset(
            "flat", "flat: every call as fast as a plain one (idle arithmetic)", tuple(plain for _ in nodes)
        ),
        CallTimePreset(
            "linear", "linear: twice the nodes, twice the time", tuple(plain * size for size in nodes)
        ),
    )


def _loads(traced: TracedLoad) -> Iterator[Load]:
    by_family = {
        family: _load(traced, family, [start for start in traced.starts if start.family == family])
        for family in traced.shares
    }
    if len(by_family) > 1:
        yield _mixed([(traced.shares[family], load) for family, load in by_family.items()])
    yield from by_family.values()


def _load(traced: TracedLoad, family: str, starts: Sequence[TracedStart]) -> Load:
    together = start_set(starts)
    largest = min([traced.prices.largest, *map(together.largest_budget, together.growths)])
    wanted = [budget for budget in traced.choice.node_budgets or SHOWN_BUDGETS if budget <= largest]
    shown = tuple(sorted({*wanted, largest}))
    bounds = [decode_bound(traced.texts[family], budget).going_on for budget in shown]
    every = list(traced_calls(together, traced.rule, replace(traced.choice, growths=(), node_budgets=shown)))
    likeliest = {calls.drafter: calls for calls in every if calls.growth == LIKELIEST}
    chosen = [calls for calls in every if calls.growth in (traced.choice.growths or (calls.growth,))]
    return Load(
        name=family,
        temperature=traced.temperature,
        prompts=len(together.prompts),
        node_budgets=shown,
        limit=tuple(bound.value for bound in bounds),
        limit_upper=tuple(bound.upper for bound in bounds),
        drafted=tuple(
            _drafted(together, calls, likeliest.get(calls.drafter), traced.prices) for calls in chosen
        ),
    )


def _drafted(
    starts: StartSet, calls: TracedCalls, likeliest: TracedCalls | None, prices: CallPrices
) -> Drafted:
    weights = calls.weights / calls.weights.sum(axis=0)
    seconds = prices.of(calls) if prices.can_price(calls) else None
    total, tokens = starts.by_prompt(calls.weights), starts.by_prompt(calls.weights * calls.expected_tokens)
    sizes = np.rint(calls.sizes).astype(np.int64)

    def mean(values: FloatArray, place: int) -> float:
        return float(weights[:, place] @ values)

    found: list[DraftedCalls] = []
    for place, budget in enumerate(calls.node_budgets):
        kinds, kind = np.unique(sizes[:, place], return_inverse=True)
        shares = np.bincount(kind, weights[:, place])
        met = shares > 0.0
        best_of = None
        if likeliest is not None and budget in likeliest.node_budgets:
            best_of = likeliest.expected_tokens[:, likeliest.node_budgets.index(budget)]
        found.append(
            DraftedCalls(
                node_budget=budget,
                tokens=within(starts.ratio(tokens[:, place], total[:, place]), 1.0, float(budget)),
                best_tree=mean(starts.best_tokens[:, budget - 1], place),
                likeliest=None if best_of is None else mean(best_of, place),
                sizes=tuple(kinds[met].tolist()),
                shares=tuple(shares[met].tolist()),
                draft_seconds=None if seconds is None else mean(seconds.draft[:, place], place),
                loop_seconds=prices.plain_loop if seconds is None else mean(seconds.loop[:, place], place),
            )
        )
    law = UNIFORM if calls.visits is None else CALL_STARTS
    return Drafted(calls.drafter, calls.growth, calls.rule, law, tuple(found))


def _mixed(parts: Sequence[tuple[float, Load]]) -> Load:
    """Families by their shares of the tokens: calls of each weigh as often as they are needed for those."""
    first = parts[0][1]
    budgets = tuple(
        budget for budget in first.node_budgets if all(budget in each.node_budgets for _, each in parts)
    )

    def bound(name: str) -> tuple[float, ...]:
        return tuple(
            1.0 / sum(share / getattr(each, name)[each.node_budgets.index(budget)] for share, each in parts)
            for budget in budgets
        )

    by_way = [{(way.drafter, way.growth, way.rule): way for way in each.drafted} for _, each in parts]
    common = [key for key in by_way[0] if all(key in ways for ways in by_way)]
    return Load(
        name=MIX,
        temperature=first.temperature,
        prompts=sum(each.prompts for _, each in parts),
        node_budgets=budgets,
        limit=bound("limit"),
        limit_upper=bound("limit_upper"),
        drafted=tuple(
            _mixed_ways([(share, ways[key]) for (share, _), ways in zip(parts, by_way, strict=True)])
            for key in common
        ),
    )


def _mixed_ways(parts: Sequence[tuple[float, Drafted]]) -> Drafted:
    budgets = [{calls.node_budget: calls for calls in each.calls} for _, each in parts]
    common = [budget for budget in budgets[0] if all(budget in own for own in budgets)]
    shares = [share for share, _ in parts]
    calls = tuple(_mixed_calls(shares, [own[budget] for own in budgets]) for budget in common)
    laws = dict.fromkeys(each.start_law for _, each in parts)
    return replace(parts[0][1], start_law=" or ".join(laws), calls=calls)


def _mixed_calls(shares: Sequence[float], parts: Sequence[DraftedCalls]) -> DraftedCalls:
    of_token = [share / each.tokens.value for share, each in zip(shares, parts, strict=True)]  # calls
    weights = [calls / sum(of_token) for calls in of_token]
    likeliest = [each.likeliest for each in parts]
    drafting = [each.draft_seconds for each in parts]
    sizes: dict[int, float] = {}
    for weight, each in zip(weights, parts, strict=True):
        for size, share in zip(each.sizes, each.shares, strict=True):
            sizes[size] = sizes.get(size, 0.0) + weight * share

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.dot(weights, known)) if len(known) == len(values) else None

    return DraftedCalls(
        node_budget=parts[0].node_budget,
        tokens=_mixed_tokens(shares, [each.tokens for each in parts]),
        best_tree=mean([each.best_tree for each in parts]),
        likeliest=mean(likeliest),
        sizes=tuple(sorted(sizes)),
        shares=tuple(sizes[size] for size in sorted(sizes)),
        draft_seconds=mean(drafting),
        loop_seconds=float(np.dot(weights, [each.loop_seconds for each in parts])),
    )


def _mixed_tokens(shares: Sequence[float], parts: Sequence[Estimate]) -> Estimate:
    """Tokens per call of the mix: one over its calls per token, whose errors are independent."""
    value = 1.0 / sum(share / each.value for share, each in zip(shares, parts, strict=True))
    clusters = sum(each.clusters for each in parts)
    variance = 0.0
    for share, each in zip(shares, parts, strict=True):
        if each.standard_error is None:
            return Estimate(value, None, None, None, clusters)
        variance += (share * each.standard_error / each.value**2) ** 2
    error = sqrt(variance) * value**2
    half = half_width(error, clusters - len(parts) + 1)
    return Estimate(value, error, max(1.0, value - half), value + half, clusters)
