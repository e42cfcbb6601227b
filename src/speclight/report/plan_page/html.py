"""A plan as one HTML page that opens from disk, offline, and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.advice.engine_settings.engine import EngineSettings
from speclight.advice.plan import Plan
from speclight.advice.plan_words import reasons, recommendation
from speclight.advice.what_if import WhatIf
from speclight.report.page.environment import page_environment, template_text, utf8
from speclight.report.plan import plan_table, settings_text
from speclight.report.plan_page.page_text import plan_headline
from speclight.report.what_if.definitions import Commands, what_if_definitions
from speclight.report.what_if.view import PACKAGE as WHAT_IF
from speclight.report.what_if.view import what_if_view
from speclight.writing import write_whole

PACKAGE = "speclight.report.plan_page"
SHOWN = 25


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """What a plan's page is made of.

    limit: tokens per second that no deterministic drafting exceeds on this machine. provenance: name and
    value of what the reader may want to check.
    """

    target: str
    plan: Plan
    limit: float
    what_if: WhatIf
    engines: Sequence[EngineSettings]
    commands: Commands
    provenance: Sequence[tuple[str, str]]


def write_plan_page(page: PlannedPage, path: Path) -> Path:
    """Write the page and return its path.

    It carries its style, script and data itself; its content security policy forbids every request. All text
    of the records is escaped. Raises StorageError if the file cannot be written.
    """
    found = page.plan
    table = plan_table(found, SHOWN)
    drafts = found.fastest_drafts(len(found.predictions))
    shown = next((each for each in drafts if not each.configuration.is_auto), None)
    text = (
        page_environment(PACKAGE, WHAT_IF)
        .get_template("plan.html.j2")
        .render(
            page=page,
            headline=plan_headline(found, page.limit, page.what_if),
            recommendation=recommendation(found),
            speculates=not found.best.configuration.is_plain,
            reasons=reasons(found),
            view=what_if_view(page.what_if, None if shown is None else shown.configuration),
            what_if_script=template_text(WHAT_IF, "what_if.js"),
            table=table,
            engines=settings_text(page.engines),
            definitions=what_if_definitions(page.commands),
        )
    )
    return write_whole(path, utf8(text))
