"""The report as one HTML page that opens from disk, offline, and asks the network for nothing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from speclight.experiments.demo.record import DemoRecord
from speclight.report import number_format
from speclight.report.curve_style import COLOURS, drafter_marks, holds_here, legend_label, style_of
from speclight.report.demo.embedding import csv_data_uri, script_json, svg_data_uri
from speclight.report.demo.figures import write_figures
from speclight.report.demo.interactive import limits_panels
from speclight.report.demo.interactive_decoding import acceptance_figure, time_figure
from speclight.report.demo.losses import loss_rows
from speclight.report.demo.page_text import (
    DEFINITIONS,
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
from speclight.writing import write_whole

_BAND_OPACITY = "2e"  # two hex digits of alpha, 18%


def write_report(record: DemoRecord, folder: Path) -> Path:
    """Write report.html, figures/ and tables/ (CSV) into folder and return the page's path.

    The page carries its style, script, figures, tables and Plotly itself; its content security policy forbids
    every request. All text of the record is escaped. Raises StorageError if a file cannot be written.
    """
    figures = write_figures(record, folder / "figures")
    tables = report_tables(record)
    for table in tables.values():
        write_whole(folder / "tables" / f"{table.name}.csv", utf8(table.csv()))
    page = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            headline=headline_text(record),
            headline_rows=headline_rows(record),
            speed_limit=speed_limit_text(record.speed_limit, record.headline.drafter),
            losses=loss_rows(record.losses),
            warnings=alarms(record),
            load_warning=load_warning(record.load),
            tables=tables,
            definitions=DEFINITIONS,
            curves=distinct_curves(record),
            drafter_marks=drafter_marks(drafters_of(record)),
            start_laws=sorted({limits.start_law for limits in record.limits}),
            table_budgets=table_budgets(record),
            phases=PHASES,
            panels=list(zip(limits_panels(record), record.limits, strict=True)),
            time_figure=time_figure(record),
            acceptance_figure=acceptance_figure(record),
            still={
                name: figure and svg_data_uri(figure.svg_content)
                for name, figure in (
                    ("limits", figures.limits),
                    ("time", figures.time),
                    ("acceptance", figures.acceptance),
                )
            },
        )
    )
    return write_whole(folder / "report.html", utf8(page))


def utf8(text: str) -> bytes:
    """A page or a file as bytes, whatever its characters."""
    # A lone surrogate in a prompt has no UTF-8 form; as a character reference it shows as U+FFFD.
    return text.encode("utf-8", errors="xmlcharrefreplace")


@cache
def page_environment() -> Environment:
    """The pages' templates, with what all of them use."""
    environment = Environment(
        loader=PackageLoader("speclight.report.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        significant=number_format.significant,
        percent=number_format.percent,
        ratio=number_format.ratio,
        interval=number_format.interval,
        standard_error=number_format.standard_error,
        whole=number_format.whole,
        duration=number_format.duration,
        script_json=script_json,
        csv_data_uri=csv_data_uri,
    )
    environment.globals.update(
        style_of=style_of,
        holds_here=holds_here,
        legend_label=legend_label,
        limits_description=limits_description,
        palette=_palette(),
        stylesheet=_own_file("style.css"),
        script=_own_file("report.js"),
        plotly=Markup(get_plotlyjs()),
    )
    return environment


def _own_file(name: str) -> Markup:
    return Markup(files("speclight.report.demo").joinpath("templates", name).read_text(encoding="utf-8"))


def _palette() -> Markup:
    """The curves' colours as CSS custom properties, light and dark."""
    light = "".join(_properties(name, colour.light) for name, colour in COLOURS.items())
    dark = "".join(_properties(name, colour.dark) for name, colour in COLOURS.items())
    return Markup(f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}")


def _properties(name: str, colour: str) -> str:
    return f"--curve-{name}:{colour};--band-{name}:{colour}{_BAND_OPACITY};"
