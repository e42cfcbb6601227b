"""The page's interactive figures as Plotly specifications. Colours are CSS variables, resolved in the page.

A specification is plain JSON: `report.js` puts in the colours of the reader's light or dark scheme.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from math import isfinite, log2

from speclight.experiments.demo.record import DecodingSummary, DemoRecord, FamilyLimits, LimitCurve
from speclight.report.curve_style import in_legend_order, style_of
from speclight.report.demo.record_file import JsonValue, json_value
from speclight.report.demo.selection import (
    decodings_beside,
    decodings_by_setting,
    largest_budget,
    largest_tokens_per_call,
    panel_title,
    powers_of_two,
    setting_label,
    speed_label,
    visible_points,
)
from speclight.report.number_format import shortened, significant, span

_DECADES_PER_OCTAVE = 0.30102999566398120  # log10(2): Plotly gives ranges of log axes in decades
_ROW_PIXELS = 34
_NAME_LENGTH = 20  # characters beside a row that leave a phone some room for the row


@dataclass(frozen=True, slots=True)
class InteractiveFigure:
    """One Plotly figure: where it goes in the page, how tall it is, its data and layout as JSON."""

    element_id: str
    title: str
    height: int
    specification: str


def limits_panels(record: DemoRecord) -> tuple[InteractiveFigure, ...]:
    """One log-log panel per family, all on the same axes."""
    return tuple(
        InteractiveFigure(
            element_id=f"limits-{place}",
            title=panel_title(limits, record),
            height=300,
            specification=_specification(
                _limit_traces(limits, decodings_beside(limits, record)), _limit_layout(record)
            ),
        )
        for place, limits in enumerate(record.limits)
    )


def speed_figure(record: DemoRecord) -> InteractiveFigure | None:
    """Tokens per second with and without speculation, a row per family and temperature."""
    if not record.decodings:
        return None
    rows: list[tuple[int, DecodingSummary]] = []
    labels: dict[int, str] = {}
    height = 0
    for group in decodings_by_setting(record):
        setting = _text(shortened(setting_label(group[0], record), _NAME_LENGTH))
        labels[height] = f"<b>{setting}</b> "  # a row of its own heads each setting
        for decoding in group:
            height -= 1
            rows.append((height, decoding))
            labels[height] = f"{_text(shortened(decoding.family, _NAME_LENGTH))} "
        height -= 1
    return InteractiveFigure(
        element_id="speed-0",
        title="Tokens per second",
        height=60 - _ROW_PIXELS * height,
        specification=_specification(_speed_traces(rows), _speed_layout(rows, labels)),
    )


def _specification(traces: list[JsonValue], layout: dict[str, JsonValue]) -> str:
    return json.dumps(json_value({"data": traces, "layout": layout}), allow_nan=False)


def _limit_traces(limits: FamilyLimits, decodings: list[DecodingSummary]) -> list[JsonValue]:
    traces: list[JsonValue] = []
    for curve in reversed(in_legend_order(limits.curves)):
        if curve.lows is not None and curve.highs is not None:
            traces.append(_band(limits.budgets, curve, curve.lows, curve.highs))
        traces.append(_line(limits.budgets, curve))
    traces.extend(_drafter_point(decoding) for decoding in decodings)
    return traces


def _line(budgets: tuple[int, ...], curve: LimitCurve) -> JsonValue:
    style = style_of(curve)
    points = visible_points(budgets, curve.values)
    ends = dict(zip(budgets, zip(curve.lows or (), curve.highs or (), strict=True), strict=False))
    spans = [span(*ends.get(budget, (None, None))) for budget, _ in points]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _text(curve.label),
        "meta": curve.name,
        "x": [budget for budget, _ in points],
        "y": [value for _, value in points],
        "text": [
            f"P = {budget}: {significant(value)}" + (f" ({ends_text})" if ends_text else "")
            for (budget, value), ends_text in zip(points, spans, strict=True)
        ],
        "hovertemplate": f"<b>{_text(curve.label)}</b><br>%{{text}}<extra></extra>",
        "line": {
            "color": f"--curve-{style.variable}",
            "width": style.width,
            "dash": ",".join(f"{length}px" for length in style.dashes) or "solid",
        },
    }


def _band(
    budgets: tuple[int, ...], curve: LimitCurve, lows: tuple[float, ...], highs: tuple[float, ...]
) -> JsonValue:
    low, high = visible_points(budgets, lows), visible_points(budgets, highs)
    outline = [*high, *reversed(low)]
    return {
        "type": "scatter",
        "mode": "lines",
        "meta": curve.name,
        "x": [budget for budget, _ in outline],
        "y": [value for _, value in outline],
        "fill": "toself",
        "fillcolor": f"--band-{style_of(curve).variable}",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _drafter_point(decoding: DecodingSummary) -> JsonValue:
    ends = span(decoding.tokens_per_call.low, decoding.tokens_per_call.high)
    lines = [
        f"<b>{_text(decoding.drafter)}, P ≤ {decoding.node_budget}</b>",
        f"{significant(decoding.tokens_per_call.value)} tokens per call" + (f" ({ends})" if ends else ""),
        f"{significant(decoding.nodes_per_call)} nodes in a mean call",
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "cliponaxis": False,
        "name": _text(decoding.drafter),
        "meta": "drafter",
        "x": [decoding.nodes_per_call],
        "y": [decoding.tokens_per_call.value],
        "hovertemplate": "<br>".join(lines) + "<extra></extra>",
        "marker": {
            "symbol": "diamond",
            "size": 11,
            "color": "--curve-drafter",
            "line": {"color": "--paper", "width": 1.5},
        },
    }


def _limit_layout(record: DemoRecord) -> dict[str, JsonValue]:
    budget, tokens = largest_budget(record), largest_tokens_per_call(record)
    return {
        **_common_layout(),
        "margin": {"l": 44, "r": 10, "t": 6, "b": 42},
        "hovermode": "closest",
        "xaxis": {
            **_axis("node budget P"),
            **_doubling(powers_of_two(budget)),
            "range": [-0.1 * _DECADES_PER_OCTAVE, (log2(budget) + 0.12) * _DECADES_PER_OCTAVE],
        },
        "yaxis": {
            **_axis("tokens per call"),
            **_doubling(powers_of_two(tokens)),
            "range": [-0.15 * _DECADES_PER_OCTAVE, (log2(tokens) + 0.15) * _DECADES_PER_OCTAVE],
        },
    }


def _speed_traces(rows: list[tuple[int, DecodingSummary]]) -> list[JsonValue]:
    heights = [height for height, _ in rows]
    plain = [decoding.plain_tokens_per_second for _, decoding in rows]
    speculative = [decoding.tokens_per_second for _, decoding in rows]
    ring = {
        "symbol": "circle",
        "size": 10,
        "color": "--paper",
        "line": {"color": "--curve-plain", "width": 2},
    }
    diamond = {"symbol": "diamond", "size": 11, "color": "--curve-drafter"}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for _, row in rows for x in (row.plain_tokens_per_second, row.tokens_per_second, None)],
            "y": [y for height in heights for y in (height, height, None)],
            "line": {"color": "--rule", "width": 3},
            "hoverinfo": "skip",
        },
        _speed_markers("plain", plain, heights, ring),
        _speed_markers("speculative", speculative, heights, diamond),
        {
            "type": "scatter",
            "mode": "text",
            "x": [max(pair) for pair in zip(plain, speculative, strict=True)],
            "y": heights,
            "text": [f"   {speed_label(row.speed_up)}" for _, row in rows],
            "textposition": "middle right",
            "cliponaxis": False,
            "hoverinfo": "skip",
        },
    ]


def _speed_markers(name: str, speeds: list[float], heights: list[int], marker: JsonValue) -> JsonValue:
    return {
        "type": "scatter",
        "mode": "markers",
        "cliponaxis": False,
        "x": speeds,
        "y": heights,
        "text": [significant(speed) for speed in speeds],
        "hovertemplate": f"{name}: %{{text}} tokens/s<extra></extra>",
        "marker": marker,
    }


def _speed_layout(rows: list[tuple[int, DecodingSummary]], labels: dict[int, str]) -> dict[str, JsonValue]:
    speeds = [speed for _, row in rows for speed in (row.plain_tokens_per_second, row.tokens_per_second)]
    fastest = max([1.0, *(speed for speed in speeds if isfinite(speed))])
    return {
        **_common_layout(),
        "margin": {"l": 10, "r": 60, "t": 6, "b": 42},
        "hovermode": "closest",
        "xaxis": {**_axis("tokens per second"), "range": [0.0, 1.04 * fastest], "nticks": 6},
        "yaxis": {
            **_axis(""),
            "showgrid": False,
            "automargin": True,
            "range": [rows[-1][0] - 0.7, 0.5],
            "tickvals": list(labels),
            "ticktext": list(labels.values()),
        },
    }


def _common_layout() -> dict[str, JsonValue]:
    return {
        "showlegend": False,
        "autosize": True,
        "uirevision": "kept",  # a zoom outlives a change of colours or of the curves shown
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13, "color": "--ink-soft"},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--rule", "font": {"color": "--ink"}},
    }


def _axis(title: str) -> dict[str, JsonValue]:
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "--grid",
        "linecolor": "--ink-soft",
        "showline": True,
        "zeroline": False,
        "ticks": "",
    }


def _doubling(ticks: list[int]) -> dict[str, JsonValue]:
    return {"type": "log", "tickvals": list(ticks), "ticktext": [str(tick) for tick in ticks]}


def _text(words: str) -> str:
    """Words as Plotly shows them literally: it reads a few HTML tags, links among them."""
    return escape(words, quote=False)
