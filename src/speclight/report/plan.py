"""A plan as rows for programs and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from speclight.advice.engine_settings.engine import EngineSettings
from speclight.advice.plan import Plan
from speclight.advice.prediction import Prediction
from speclight.report.number_format import interval, ratio
from speclight.report.table import Cell, Column, Table, count, estimate, number, words

if TYPE_CHECKING:  # which runs models; plans alone do without
    from speclight.advice.trace_plans import NamedPlan
    from speclight.advice.validation import Validated

COLUMNS = (
    Column("drafter", "drafter", is_text=True),
    Column("growth", "tree", is_text=True),
    Column("rule", "rule", is_text=True),
    Column("node_budget", "P", about="budget"),
    Column("tokens_per_second", "tokens per second", about="tokens-per-second"),
    Column("speed_up", "over plain", about="speed-up"),
    Column("tokens_per_call", "tokens per call", about="tokens-per-call"),
    Column("target_ms", "target, ms", about="step-call_time"),
    Column("draft_ms", "drafting, ms", about="step-drafting"),
    Column("loop_ms", "loop, ms", about="step-loop"),
)


def plan_table(plan: Plan, top: int) -> Table:
    """The fastest configurations, plain decoding always among them; trees that draft alike share a row."""
    groups = [list(group) for _, group in groupby(plan.predictions, _drafted_alike)]
    shown = groups[:top]
    if not any(group[0] is plan.plain for group in shown):
        shown.append([plan.plain])
    texts = "" if plan.batch_size == 1 else f", {plan.batch_size} texts at once"
    caption = f"Predicted speed (95% interval from prompts{texts})"
    return Table("plan", caption, COLUMNS, tuple(_row(plan, *group) for group in shown))


def plan_document(plan: Plan) -> dict[str, object]:
    """All predictions of a plan as plain data."""
    return {
        "batch_size": plan.batch_size,
        "mix": plan.mix,
        "largest_budget_timed": plan.largest_budget,
        "unpriced": plan.unpriced,
        "limit_tokens_per_second": plan.limit,
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
                "is_auto": served.configuration.is_auto,
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


def _drafted_alike(found: Prediction) -> tuple[object, ...]:
    told, speed = found.configuration, found.tokens_per_second.value
    return told.drafter, told.rule, told.node_budget, round(speed, 9), round(found.tokens_per_call, 9)


def _row(plan: Plan, found: Prediction, *alike: Prediction) -> tuple[Cell, ...]:
    told, speed_up = found.configuration, plan.speed_up(found)
    ends = speed_up.low, speed_up.high
    times = Cell(speed_up.value, ratio(speed_up.value), interval(speed_up) or "", *ends)
    return (
        words(told.drafter),
        words(told.growth, f"and {len(alike)} alike" if alike else ""),
        words(told.rule),
        Cell(told.node_budget, told.budget),
        estimate(found.tokens_per_second),
        times,
        number(found.tokens_per_call),
        number(1e3 * found.target_seconds),
        number(1e3 * found.draft_seconds),
        number(1e3 * found.loop_seconds),
    )


def _document(plan: Plan, found: Prediction) -> dict[str, object]:
    told, speed, speed_up = found.configuration, found.tokens_per_second, plan.speed_up(found)
    return {
        "drafter": told.drafter,
        "growth": told.growth,
        "rule": told.rule,
        "node_budget": told.node_budget,
        "is_auto": told.is_auto,
        "tokens_per_second": speed.value,
        "tokens_per_second_low": speed.low,
        "tokens_per_second_high": speed.high,
        "speed_up": speed_up.value,
        "speed_up_low": speed_up.low,
        "speed_up_high": speed_up.high,
        "tokens_per_call": found.tokens_per_call,
        "target_seconds": found.target_seconds,
        "draft_seconds": found.draft_seconds,
        "loop_seconds": found.loop_seconds,
        "own_share": found.own_share,
        "taken_off": found.taken_off,
    }


OVERVIEW = (
    Column("name", "texts", is_text=True),
    Column("batch_size", "at once"),
    Column("configuration", "fastest", is_text=True),
    Column("tokens_per_second", "tokens per second"),
    Column("speed_up", "over plain"),
    Column("limit", "limit"),
    Column("share", "of the limit"),
)


def overview_table(plans: Sequence[NamedPlan]) -> Table:
    """The fastest configuration of each plan, by family and by how many texts are decoded at once."""
    rows = tuple(
        (
            words(each.name),
            count(each.plan.batch_size),
            words(str(best.configuration)),
            estimate(best.tokens_per_second),
            estimate(each.plan.speed_up(best)),
            number(each.plan.limit),
            number(None if each.plan.limit is None else best.tokens_per_second.value / each.plan.limit),
        )
        for each in plans
        for best in (each.plan.best,)
    )
    caption = "The fastest of each plan, all texts of a batch together"
    return Table("overview", caption, OVERVIEW, rows)


# A prediction this near is near enough to choose by.
NEAR = 0.1
VALIDATED = (
    Column("case", "texts", is_text=True),
    Column("configuration", "configuration", is_text=True),
    Column("predicted", "speed-up predicted"),
    Column("measured", "measured"),
    Column("agreement", "measured / predicted"),
    Column("tokens_predicted", "predicted", "tokens per call"),
    Column("tokens_measured", "measured", "tokens per call"),
    *(
        Column(f"{phase}_{what}", what, f"{phase}, ms a call")
        for phase in ("target", "draft", "loop")
        for what in ("predicted", "measured")
    ),
)


def validation_table(found: Sequence[Validated]) -> Table:
    """Predictions beside what was measured: speed, tokens per call, and where a call's seconds go."""
    rows = tuple(
        (
            words(each.case),
            words(str(each.prediction.configuration)),
            estimate(each.expected_speed_up),
            estimate(each.speed_up),
            number(each.agreement),
            number(each.prediction.tokens_per_call),
            estimate(each.tokens_per_call),
            *(
                number(1e3 * seconds)
                for phase in ("target", "draft", "loop")
                for seconds in (getattr(each.prediction, f"{phase}_seconds"), each.seconds[phase])
            ),
        )
        for each in found
    )
    return Table("validation", "Predicted and measured, decoded in turn with plain decoding", VALIDATED, rows)


def validation_sentence(found: Sequence[Validated]) -> str:
    """How many of the predictions are near, of the fastest draft of each case."""
    first = {each.case: each for each in reversed(found)}.values()
    near = sum(is_near(each) for each in first)
    return f"Predicted within {NEAR:.0%} of measured: {near} of {len(first)}, by the fastest draft of each."


def is_near(found: Validated) -> bool:
    """Whether the measured speed-up is within NEAR of the predicted one."""
    return abs(found.agreement - 1.0) <= NEAR


def validation_document(found: Validated) -> dict[str, object]:
    """One configuration as predicted and as measured, as plain data."""
    told, measured, predicted = found.prediction.configuration, found.speed_up, found.prediction
    return {
        "case": found.case,
        "drafter": told.drafter,
        "growth": told.growth,
        "rule": told.rule,
        "node_budget": told.node_budget,
        "is_auto": told.is_auto,
        "speed_up_predicted": found.expected_speed_up.value,
        "speed_up_predicted_low": found.expected_speed_up.low,
        "speed_up_predicted_high": found.expected_speed_up.high,
        "speed_up_measured": measured.value,
        "speed_up_low": measured.low,
        "speed_up_high": measured.high,
        "verdict": found.verdict,
        "agreement": found.agreement,
        "is_near": is_near(found),
        "tokens_per_call_predicted": predicted.tokens_per_call,
        "tokens_per_call_measured": found.tokens_per_call.value,
        "tokens_per_call_low": found.tokens_per_call.low,
        "tokens_per_call_high": found.tokens_per_call.high,
        "seconds_predicted": {
            "target": predicted.target_seconds,
            "draft": predicted.draft_seconds,
            "loop": predicted.loop_seconds,
        },
        "seconds_measured": found.seconds,
        "plain_seconds_measured": found.plain_seconds,
    }
