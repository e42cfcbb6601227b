"""The report as one HTML page that opens from disk, offline, and asks the network for nothing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from speclight.experiments.demo.record import DemoRecord
from speclight.measure.store import write_whole
from speclight.report import number_format
from speclight.report.curve_style import COLOURS, holds_here, legend_label, style_of
from speclight.report.demo.embedding import script_json, svg_data_uri
from speclight.report.demo.figures import write_figures
from speclight.report.demo.interactive import limits_panels, speed_figure
from speclight.report.demo.overview import overview
from speclight.report.demo.page_text import (
    DEFINITIONS,
    divergence_warning,
    headline_bars,
    headline_text,
    limits_description,
    load_warning,
    speed_limit_text,
)
from speclight.report.demo.selection import (
    TABLE_BUDGETS,
    at_budget,
    decodings_by_setting,
    distinct_curves,
    plain_decoder_names,
)

_BAND_OPACITY = "2e"  # two hex digits of alpha, 18%


def write_report(record: DemoRecord, folder: Path) -> Path:
    """Write report.html and figures/ into folder and return the page's path.

    The page carries its style, script, figures and Plotly itself; its content security policy forbids
    every request. All text of the record is escaped. Raises StorageError if a file cannot be written.
    """
    figures = write_figures(record, folder / "figures")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            headline=headline_text(record.headline),
            headline_bars=headline_bars(record.headline),
            speed_limit=speed_limit_text(record.speed_limit, record.headline.drafter),
            warning=divergence_warning(record),
            load_warning=load_warning(record.load),
            overview=overview(record),
            definitions=DEFINITIONS,
            curves=distinct_curves(record),
            drafters=sorted({decoding.drafter for decoding in record.decodings}),
            start_laws=sorted({limits.start_law for limits in record.limits}),
            table_budgets=TABLE_BUDGETS,
            plain_decoders=plain_decoder_names(record),
            decoding_groups=decodings_by_setting(record),
            panels=list(zip(limits_panels(record), record.limits, strict=True)),
            speed=speed_figure(record),
            limits_image=figures.limits and svg_data_uri(figures.limits.svg_content),
            speed_image=figures.speed and svg_data_uri(figures.speed.svg_content),
        )
    )
    # A lone surrogate in a prompt has no UTF-8 form; as a character reference it shows as U+FFFD.
    return write_whole(folder / "report.html", page.encode("utf-8", errors="xmlcharrefreplace"))


@cache
def _environment() -> Environment:
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
    )
    environment.globals.update(
        at_budget=at_budget,
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
