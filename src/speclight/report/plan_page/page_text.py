"""The first lines of a plan's page: what is possible, what the best setting gets, plain decoding."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.advice.plan import Plan
from speclight.advice.prediction import Prediction
from speclight.advice.what_if import WhatIf
from speclight.report.number_format import ratio, significant, told_interval, whole


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """Plain decoding, the best setting or the limit. length: of its bar, in percent of the longest."""

    label: str
    colour: str
    per_second: str
    about: str
    note: str
    per_call: str
    per_call_note: str
    length: float


@dataclass(frozen=True, slots=True)
class PlanHeadline:
    """The first line in numbers, and the rows below it.

    possible: times plain decoding, at most. gets: of the best setting that drafts, None without one. pays:
    whether it is faster than plain decoding. texts: what all of it is about.
    """

    possible: str
    gets: str | None
    pays: bool
    texts: str
    rows: tuple[HeadlineRow, ...]


def plan_headline(plan: Plan, limit: float, what_if: WhatIf) -> PlanHeadline:
    """The limit over plain decoding, and what the fastest setting that drafts gets of it."""
    draft, load = plan.best_draft, what_if.loads[0]
    speed_up = None if draft is None else plan.speed_up(draft)
    return PlanHeadline(
        possible=ratio(limit / plan.plain.tokens_per_second.value),
        gets=None if speed_up is None else ratio(speed_up.value),
        pays=not plan.best.configuration.is_plain,
        texts=f"temperature {load.temperature:g}, {_mix(plan)}, {whole(load.prompts)} prompts",
        rows=_rows(plan, draft, limit),
    )


def _mix(plan: Plan) -> str:
    shares = set(plan.mix.values())
    if len(plan.mix) == 1:
        return f"texts of the family {next(iter(plan.mix))}"
    if max(shares) - min(shares) < 1e-12:
        return f"{len(plan.mix)} families of texts in equal shares"
    return ", ".join(f"{100 * share:.0f}% {family}" for family, share in plan.mix.items())


def _rows(plan: Plan, draft: Prediction | None, limit: float) -> tuple[HeadlineRow, ...]:
    plain = plan.plain.tokens_per_second.value
    speeds = [plain, limit, *([] if draft is None else [draft.tokens_per_second.value])]

    def length(speed: float) -> float:
        return 100.0 * speed / max(speeds)

    rows = [
        HeadlineRow(
            "plain decoding", "plain", significant(plain), "tokens-per-second", "", "1", "", length(plain)
        )
    ]
    if draft is not None:
        told = draft.configuration
        rows.append(
            HeadlineRow(
                "best setting",
                "drafter",
                significant(draft.tokens_per_second.value),
                "tokens-per-second",
                told_interval(draft.tokens_per_second) or "",
                significant(draft.tokens_per_call),
                f"{told.drafter}, {told.growth}, P = {told.budget}",
                length(draft.tokens_per_second.value),
            )
        )
    rows.append(
        HeadlineRow(
            "the limit",
            "oracle",
            f"at most {significant(limit)}",
            "speed-bound",
            f"any drafter, any P up to {whole(plan.largest_budget)}, drafting and the loop free",
            "",
            "",
            length(limit),
        )
    )
    return tuple(rows)
