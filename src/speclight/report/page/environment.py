"""The templates of the pages, with what all of them use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from speclight.report import number_format
from speclight.report.curve_style import COLOURS
from speclight.report.page.embedding import csv_data_uri, script_json

_BAND_OPACITY = "2e"  # two hex digits of alpha, 18%
_OWN = "speclight.report.page"


@cache
def page_environment(*packages: str) -> Environment:
    """The templates of these packages, and those of every page."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, _OWN)]),
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
        general="{:g}".format,
        pair=lambda value: (value, value),
        script_json=script_json,
        csv_data_uri=csv_data_uri,
    )
    environment.globals.update(
        palette=_palette(),
        stylesheet=template_text(_OWN, "style.css"),
        script=template_text(_OWN, "page.js"),
    )
    return environment


def template_text(package: str, name: str) -> Markup:
    """A style or a script from a package's templates, for the inside of its element."""
    return Markup(files(package).joinpath("templates", name).read_text(encoding="utf-8"))


def utf8(text: str) -> bytes:
    """A page or a file as bytes, whatever its characters."""
    # A lone surrogate in a prompt has no UTF-8 form; as a character reference it shows as U+FFFD.
    return text.encode("utf-8", errors="xmlcharrefreplace")


def _palette() -> Markup:
    """The curves' colours as CSS custom properties, light and dark."""
    light = "".join(_properties(name, colour.light) for name, colour in COLOURS.items())
    dark = "".join(_properties(name, colour.dark) for name, colour in COLOURS.items())
    return Markup(f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}")


def _properties(name: str, colour: str) -> str:
    return f"--curve-{name}:{colour};--band-{name}:{colour}{_BAND_OPACITY};"
