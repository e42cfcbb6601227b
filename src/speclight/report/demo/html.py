"""The report as one HTML page that opens from disk, offline, and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from speclight.advice.configuration import Configuration
from speclight.experiments.demo.record import DemoRecord
from speclight.report.curve_style import drafter_marks, holds_here, legend_label, style_of
from speclight.report.demo.definitions import report_definitions
from speclight.report.demo.figures import FigureFiles, write_figures
from speclight.report.demo.interactive import limits_panels
from speclight.report.demo.interactive_decoding import acceptance_figure, time_figure
from speclight.report.demo.losses import loss_rows
from speclight.report.demo.page_text import (
    alarms,
    headline_rows,
    headline_text,
    limits_description,
    load_warning,
    speed_limit_text,
)
from speclight.report.demo.selection import distinct_curves, drafters_of, table_budgets
from speclight.report.demo.tables import report_tables
from speclight.report.demo.time_rows import PHASES
from speclight.report.page.embedding import svg_data_uri
from speclight.report.page.environment import page_environment, template_text, utf8
from speclight.report.table import Table
from speclight.report.what_if.view import PACKAGE as WHAT_IF
from speclight.report.what_if.view import WhatIfView, what_if_view
from speclight.writing import write_whole

PACKAGE = "speclight.report.demo"


def _what_if(record: DemoRecord) -> WhatIfView:
    """The headline's run, at its node budget."""
    way = record.what_if.loads[0].drafted[0]
    shown = Configuration(way.drafter, way.growth, way.rule, record.headline.node_budget)
    return what_if_view(record.what_if, shown)


def write_report(record: DemoRecord, folder: Path) -> Path:
    """Write report.html, figures/ and tables/ (CSV) into folder and return the page's path.

    The page carries its style, script, figures, tables and Plotly itself; its content security policy forbids
    every request. All text of the record is escaped. Raises StorageError if a file cannot be written.
    """
    figures = write_figures(record, folder / "figures")
    tables = report_tables(record)
    for table in tables.values():
        write_whole(folder / "tables" / f"{table.name}.csv", utf8(table.csv()))
    template = page_environment(PACKAGE, WHAT_IF).get_template("report.html.j2")
    page = template.render(_content(record, tables), still=_still(figures))
    return write_whole(folder / "report.html", utf8(page))


def _content(record: DemoRecord, tables: dict[str, Table]) -> dict[str, object]:
    """What the template asks for, the still images aside."""
    return {
        "record": record,
        "style_of": style_of,
        "holds_here": holds_here,
        "legend_label": legend_label,
        "limits_description": limits_description,
        "plots": template_text(PACKAGE, "plots.js"),
        "plotly": Markup(get_plotlyjs()),
        "headline": headline_text(record),
        "headline_rows": headline_rows(record),
        "speed_limit": speed_limit_text(record.speed_limit, record.headline.drafter),
        "losses": loss_rows(record.losses),
        "warnings": alarms(record),
        "load_warning": load_warning(record.load),
        "tables": tables,
        "definitions": report_definitions(record.headline.drafter, record.headline.node_budget),
        "view": _what_if(record),
        "what_if_script": template_text(WHAT_IF, "what_if.js"),
        "curves": distinct_curves(record),
        "drafter_marks": drafter_marks(drafters_of(record)),
        "start_laws": sorted({limits.start_law for limits in record.limits}),
        "table_budgets": table_budgets(record),
        "phases": PHASES,
        "panels": list(zip(limits_panels(record), record.limits, strict=True)),
        "time_figure": time_figure(record),
        "acceptance_figure": acceptance_figure(record),
    }


def _still(figures: FigureFiles) -> dict[str, Markup | None]:
    """The figures as images inside the page, for readers without scripts and on paper."""
    return {
        name: figure and svg_data_uri(figure.svg_content)
        for name, figure in (
            ("limits", figures.limits),
            ("time", figures.time),
            ("acceptance", figures.acceptance),
        )
    }
