"""What the page's what-if part shows before anything is moved, and the data that its script computes from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from speclight.advice.configuration import Configuration
from speclight.advice.waterfall import FactorName
from speclight.advice.waterfall_words import LABELS
from speclight.advice.what_if import Drafted, Load, Outcome, WhatIf, fastest_budget, outcome
from speclight.report.demo.record_file import json_value
from speclight.report.number_format import significant, told_interval

PACKAGE = "speclight.report.what_if"
# How the steps are called where nothing was measured, only predicted.
STEP_LABELS: dict[FactorName, str] = {
    **LABELS,
    "decode_bound": "limit at this P, tokens per call",
    "shape": "tree and rule",
}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of the waterfall. begin, length: of its bar, in percent of the longest."""

    name: FactorName
    label: str
    factor: str
    left: str
    begin: float
    length: float
    colour: str


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """The state at first. names, temperatures, times: to choose from. data: JSON for the script."""

    load: Load
    drafted: Drafted
    node_budget: int
    found: Outcome
    steps: tuple[StepRow, ...]
    names: tuple[str, ...]
    temperatures: tuple[float, ...]
    times: tuple[tuple[str, str], ...]
    data: str

    @property
    def budget_place(self) -> int:
        """Place of the node budget on the slider."""
        return self.load.node_budgets.index(self.node_budget)

    @property
    def is_timed(self) -> bool:
        """Whether the drafter's seconds are known."""
        return self.drafted.at(self.node_budget).draft_seconds is not None

    @property
    def interval(self) -> str:
        """Of the tokens per call."""
        return told_interval(self.found.tokens) or ""


def what_if_view(what_if: WhatIf, shown: Configuration | None = None) -> WhatIfView:
    """The part as it opens: on the first load and machine, with the configuration to show.

    The first way of drafting at its fastest node budget if none is given, or where it was not recorded.
    """
    load, seconds = what_if.loads[0], what_if.call_times[0].seconds
    drafted = next(
        (
            way
            for way in load.drafted
            if shown and (way.drafter, way.growth, way.rule) == (shown.drafter, shown.growth, shown.rule)
        ),
        load.drafted[0],
    )
    budgets = [calls.node_budget for calls in drafted.calls]
    if shown is not None and shown.node_budget in budgets:
        budget = shown.node_budget
    else:
        budget = fastest_budget(load, drafted, seconds, what_if.plain_loop_seconds)
    found = outcome(load, drafted, budget, seconds, what_if.plain_loop_seconds)
    start = {
        "name": load.name,
        "temperature": load.temperature,
        "drafter": drafted.drafter,
        "tree": f"{drafted.growth}|{drafted.rule}",
        "node_budget": budget,
    }
    return WhatIfView(
        load=load,
        drafted=drafted,
        node_budget=budget,
        found=found,
        steps=step_rows(found),
        names=tuple(dict.fromkeys(each.name for each in what_if.loads)),
        temperatures=tuple(dict.fromkeys(each.temperature for each in what_if.loads)),
        times=tuple((str(place), preset.label) for place, preset in enumerate(what_if.call_times)),
        data=json.dumps(
            json_value({**asdict(what_if), "start": start}), allow_nan=False, separators=(",", ":")
        ),
    )


def step_rows(found: Outcome) -> tuple[StepRow, ...]:
    """The steps as bars, each hanging from the one before."""
    longest = max(step.tokens_per_second for step in found.steps)
    rows: list[StepRow] = []
    before = 0.0
    for step in found.steps:
        after, is_limit = step.tokens_per_second, step.name == "decode_bound"
        rows.append(
            StepRow(
                step.name,
                STEP_LABELS[step.name],
                f"{'' if is_limit else '× '}{significant(step.factor)}",
                significant(after),
                100.0 * min(before, after) / longest,
                100.0 * abs(after - before) / longest,
                "oracle" if is_limit else "renewal" if after < before else "ergodic-renewal",
            )
        )
        before = after
    return tuple(rows)
