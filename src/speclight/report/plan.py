"""A plan as rows for programs and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speclight.advice.engine_settings.engine import EngineSettings
from speclight.advice.plan import Plan, Prediction
from speclight.report.number_format import interval, ratio
from speclight.report.table import Cell, Column, Table, count, estimate, number, words

if TYPE_CHECKING:  # which runs models; plans alone do without
    from speclight.advice.validation import Validated

COLUMNS = (
    Column("drafter", "drafter", is_text=True),
    Column("growth", "tree", is_text=True),
    Column("rule", "rule", is_text=True),
    Column("node_budget", "P"),
    Column("tokens_per_second", "tokens per second"),
    Column("speed_up", "over plain"),
    Column("tokens_per_call", "tokens per call"),
    Column("target_ms", "target, ms"),
    Column("draft_ms", "drafting, ms"),
)


def plan_table(plan: Plan, top: int) -> Table:
    """The fastest configurations, plain decoding always among them."""
    shown = list(plan.predictions[:top])
    if plan.plain not in shown:
        shown.append(plan.plain)
    texts = "" if plan.batch_size == 1 else f", {plan.batch_size} texts at once"
    caption = f"Predicted speed (95% interval from prompts{texts})"
    return Table("plan", caption, COLUMNS, tuple(_row(plan, found) for found in shown))


def plan_document(plan: Plan) -> dict[str, object]:
    """All predictions of a plan as plain data."""
    return {
        "batch_size": plan.batch_size,
        "mix": plan.mix,
        "largest_budget_timed": plan.largest_budget,
        "unpriced": plan.unpriced,
        "best_trees_for_nothing": {
            "node_budget": plan.oracle.node_budget,
            "tokens_per_call": plan.oracle.tokens_per_call,
            "tokens_per_second": plan.oracle.tokens_per_second,
        },
        "predictions": [_document(plan, found) for found in plan.predictions],
    }


def settings_document(settings: EngineSettings) -> dict[str, object]:
    """The settings of one engine as plain data."""
    return {
        "engine": settings.engine,
        "served": [
            {
                "batch_size": served.batch_size,
                "drafter": served.configuration.drafter,
                "growth": served.configuration.growth,
                "rule": served.configuration.rule,
                "node_budget": served.configuration.node_budget,
                "tokens_per_second": served.prediction.tokens_per_second.value,
            }
            for served in settings.served
        ],
        "lost": settings.lost,
        "lines": settings.lines,
        "notes": settings.notes,
    }


def settings_text(settings: Sequence[EngineSettings]) -> str:
    """The settings of all engines, as they are pasted, under their names."""
    parts: list[str] = []
    for each in settings:
        lost = f", {100.0 * each.lost:.0f}% slower than the best" if each.lost > 0.005 else ""
        head = f"{each.engine}: {each.served[0].configuration}{lost}"
        notes = [f"  ({note})" for note in each.notes]
        parts.append("\n".join([head, *(f"    {line}" for line in each.lines), *notes]))
    return "\n\n".join(parts)


def _row(plan: Plan, found: Prediction) -> tuple[Cell, ...]:
    told, speed_up = found.configuration, plan.speed_up(found)
    ends = speed_up.low, speed_up.high
    times = Cell(speed_up.value, ratio(speed_up.value), interval(speed_up) or "", *ends)
    return (
        words(told.drafter),
        words(told.growth),
        words(told.rule),
        count(told.node_budget),
        estimate(found.tokens_per_second),
        times,
        number(found.tokens_per_call),
        number(1e3 * found.target_seconds),
        number(1e3 * found.draft_seconds),
    )


def _document(plan: Plan, found: Prediction) -> dict[str, object]:
    told, speed, speed_up = found.configuration, found.tokens_per_second, plan.speed_up(found)
    return {
        "drafter": told.drafter,
        "growth": told.growth,
        "rule": told.rule,
        "node_budget": told.node_budget,
        "tokens_per_second": speed.value,
        "tokens_per_second_low": speed.low,
        "tokens_per_second_high": speed.high,
        "speed_up": speed_up.value,
        "speed_up_low": speed_up.low,
        "speed_up_high": speed_up.high,
        "tokens_per_call": found.tokens_per_call,
        "target_seconds": found.target_seconds,
        "draft_seconds": found.draft_seconds,
    }


VALIDATED = (
    Column("configuration", "configuration", is_text=True),
    Column("predicted", "speed-up predicted"),
    Column("measured", "measured"),
    Column("agreement", "measured / predicted"),
    Column("tokens_predicted", "tokens per call predicted"),
    Column("tokens_measured", "measured"),
)


def validation_table(found: Sequence[Validated]) -> Table:
    """Predictions beside what was measured."""
    rows = tuple(
        (
            words(str(each.prediction.configuration)),
            estimate(each.expected_speed_up),
            estimate(each.speed_up.estimate),
            number(each.agreement),
            number(each.prediction.tokens_per_call),
            estimate(each.tokens_per_call),
        )
        for each in found
    )
    return Table("validation", "Predicted and measured, decoded in turn with plain decoding", VALIDATED, rows)


def validation_document(found: Validated) -> dict[str, object]:
    """One configuration as predicted and as measured, as plain data."""
    told, measured = found.prediction.configuration, found.speed_up.estimate
    return {
        "drafter": told.drafter,
        "growth": told.growth,
        "rule": told.rule,
        "node_budget": told.node_budget,
        "speed_up_predicted": found.expected_speed_up.value,
        "speed_up_measured": measured.value,
        "speed_up_low": measured.low,
        "speed_up_high": measured.high,
        "verdict": found.speed_up.verdict,
        "agreement": found.agreement,
        "tokens_per_call_predicted": found.prediction.tokens_per_call,
        "tokens_per_call_measured": found.tokens_per_call.value,
        "tokens_per_call_low": found.tokens_per_call.low,
        "tokens_per_call_high": found.tokens_per_call.high,
    }
