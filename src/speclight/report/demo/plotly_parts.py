"""What the page's Plotly figures have in common. Colours are CSS variables, resolved in the page.

A specification is plain JSON: `plots.js` puts in the colours of the reader's light or dark scheme.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from speclight.report.demo.record_file import JsonValue, json_value


@dataclass(frozen=True, slots=True)
class InteractiveFigure:
    """One Plotly figure: where it goes in the page, how tall it is, its data and layout as JSON."""

    element_id: str
    title: str
    height: int
    specification: str


def specification(traces: list[JsonValue], layout: dict[str, JsonValue]) -> str:
    """Data and layout as the page carries them."""
    return json.dumps(json_value({"data": traces, "layout": layout}), allow_nan=False)


def common_layout() -> dict[str, JsonValue]:
    """Ground, font and hover box of every figure."""
    return {
        "showlegend": False,
        "autosize": True,
        "uirevision": "kept",  # a zoom outlives a change of colours or of the curves shown
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13, "color": "--ink-soft"},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--rule", "font": {"color": "--ink"}},
    }


def axis(title: str) -> dict[str, JsonValue]:
    """An axis with its title."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "--grid",
        "linecolor": "--ink-soft",
        "showline": True,
        "zeroline": False,
        "ticks": "",
    }


def plotly_text(words: str) -> str:
    """Words as Plotly shows them literally: it reads a few HTML tags, links among them."""
    return escape(words, quote=False)
