"""Which parts of a record belong together on the page: lookups only, no statistic."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from speclight.experiments.demo.record import (
    DecodingSummary,
    DemoRecord,
    DepthAcceptance,
    FamilyLimits,
    LimitCurve,
)
from speclight.measure.estimates import Estimate
from speclight.report.curve_style import in_legend_order

# Calls that offered a draft at a depth before its share of accepted ones is drawn: a standard error of 0.16.
FEWEST_OFFERED = 10
_LARGER_BUDGETS = (16, 64)  # medium and the largest of the demo; the figure shows the rest


def table_budgets(record: DemoRecord) -> tuple[int, ...]:
    """The node budgets of tables: the headline's and larger ones, where some family's limits are known."""
    computed = {budget for limits in record.limits for budget in limits.budgets}
    wanted = sorted({record.headline.node_budget, *_LARGER_BUDGETS})
    return tuple(budget for budget in wanted if budget in computed)


def curve_named(limits: FamilyLimits, name: str) -> LimitCurve | None:
    """The curve of that name, or None if this family has none."""
    return next((curve for curve in limits.curves if curve.name == name), None)


def at_budget(limits: FamilyLimits, name: str, budget: int) -> Estimate | None:
    """Value and interval of one curve at one node budget; None where it was not measured or computed."""
    curve = curve_named(limits, name)
    if curve is None or budget not in limits.budgets:
        return None
    place = limits.budgets.index(budget)
    return Estimate(
        value=curve.values[place],
        standard_error=None,
        low=None if curve.lows is None else curve.lows[place],
        high=None if curve.highs is None else curve.highs[place],
        clusters=limits.oracle_contexts,
    )


def shown_acceptance(run: DecodingSummary) -> list[DepthAcceptance]:
    """The depths at which enough calls offered a draft for a share to say something."""
    return [depth for depth in run.acceptance if depth.offered >= FEWEST_OFFERED]


def decodings_beside(limits: FamilyLimits, record: DemoRecord) -> list[DecodingSummary]:
    """The drafter's runs on the same family and at the same temperature as these curves."""
    return [
        decoding
        for decoding in record.decodings
        if decoding.family == limits.family and decoding.temperature == limits.temperature
    ]


def distinct_curves(record: DemoRecord) -> list[LimitCurve]:
    """One curve of each name, for legends and for the table of sources."""
    first: dict[str, LimitCurve] = {}
    for limits in record.limits:
        for curve in limits.curves:
            first.setdefault(curve.name, curve)
    return in_legend_order(tuple(first.values()))


def drafters_of(record: DemoRecord) -> list[str]:
    """Names of the drafters that were run, in alphabetical order."""
    return sorted({run.drafter for run in (*record.overall, *record.decodings)})


def plain_decoder_names(record: DemoRecord) -> list[str]:
    """Every plain decoder that any run was compared with, in the order first met."""
    return list(dict.fromkeys(name for decoding in record.decodings for name in decoding.plain_decoders))


def largest_budget(record: DemoRecord) -> int:
    """The right end of the P axis."""
    budgets = [limits.budgets[-1] for limits in record.limits if limits.budgets]
    return max([*budgets, *(decoding.node_budget for decoding in record.decodings), 2])


def largest_tokens_per_call(record: DemoRecord) -> float:
    """The top of the tokens-per-call axis: the highest point of anything drawn."""
    drawn = [decoding.tokens_per_call.value for decoding in record.decodings]
    for limits in record.limits:
        for curve in limits.curves:
            drawn.extend((*curve.values, *(curve.highs or ())))
    return max([2.0, *(value for value in drawn if isfinite(value))])


def powers_of_two(highest: float) -> list[int]:
    """Axis ticks 1, 2, 4, ... not above the highest value."""
    ticks = [1]
    while 2 * ticks[-1] <= highest:
        ticks.append(2 * ticks[-1])
    return ticks


def visible_points(budgets: Iterable[int], values: Iterable[float]) -> list[tuple[int, float]]:
    """(P, value) pairs that a logarithmic axis can show: finite and above zero."""
    return [
        (budget, value)
        for budget, value in zip(budgets, values, strict=True)
        if isfinite(value) and value > 0.0
    ]


def panel_title(limits: FamilyLimits, record: DemoRecord) -> str:
    """The family, with temperature and start law where the record holds more than one of them."""
    parts = [limits.family]
    if len({other.temperature for other in record.limits}) > 1:
        parts.append(f"T = {limits.temperature:g}")
    if len({other.start_law for other in record.limits}) > 1:
        parts.append(limits.start_law)
    return ", ".join(parts)
