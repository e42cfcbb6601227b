"""The page's interactive panels of limits: a panel per family, all on the same axes."""

from __future__ import annotations

from math import log2

from speclight.experiments.demo.record import DecodingSummary, DemoRecord, FamilyLimits, LimitCurve
from speclight.report.curve_style import DrafterMark, drafter_marks, in_legend_order, style_of
from speclight.report.demo.plotly_parts import (
    InteractiveFigure,
    axis,
    common_layout,
    plotly_text,
    specification,
)
from speclight.report.demo.record_file import JsonValue
from speclight.report.demo.selection import (
    decodings_beside,
    drafters_of,
    largest_budget,
    largest_tokens_per_call,
    panel_title,
    powers_of_two,
    visible_points,
)
from speclight.report.number_format import shortened, significant, span, told_interval

_DECADES_PER_OCTAVE = 0.30102999566398120  # log10(2): Plotly gives ranges of log axes in decades
_NAME_LENGTH = 14  # characters beside a point that leave the curves some room


def limits_panels(record: DemoRecord) -> tuple[InteractiveFigure, ...]:
    """One log-log panel per family, all on the same axes."""
    marks = drafter_marks(drafters_of(record))
    return tuple(
        InteractiveFigure(
            element_id=f"limits-{place}",
            title=panel_title(limits, record),
            height=300,
            specification=specification(
                _limit_traces(limits, decodings_beside(limits, record), marks), _limit_layout(record)
            ),
        )
        for place, limits in enumerate(record.limits)
    )


def _limit_traces(
    limits: FamilyLimits, decodings: list[DecodingSummary], marks: dict[str, DrafterMark]
) -> list[JsonValue]:
    traces: list[JsonValue] = []
    for curve in reversed(in_legend_order(limits.curves)):
        if curve.lows is not None and curve.highs is not None:
            traces.append(_band(limits.budgets, curve, curve.lows, curve.highs))
        traces.append(_line(limits.budgets, curve))
    # Above and below in turn: names of neighbouring points do not run into each other.
    places = {name: ("bottom right", "top right")[number % 2] for number, name in enumerate(marks)}
    traces.extend(
        _drafter_point(decoding, marks[decoding.drafter], places[decoding.drafter]) for decoding in decodings
    )
    return traces


def _line(budgets: tuple[int, ...], curve: LimitCurve) -> JsonValue:
    style = style_of(curve)
    points = visible_points(budgets, curve.values)
    ends: dict[int, tuple[float, float]] = {}
    if curve.lows is not None and curve.highs is not None:
        ends = {p: (low, high) for p, low, high in zip(budgets, curve.lows, curve.highs, strict=True)}
    spans = [span(*ends.get(budget, (None, None))) for budget, _ in points]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plotly_text(curve.label),
        "meta": curve.name,
        "x": [budget for budget, _ in points],
        "y": [value for _, value in points],
        "text": [
            f"P = {budget}: {significant(value)}" + (f" ({ends_text})" if ends_text else "")
            for (budget, value), ends_text in zip(points, spans, strict=True)
        ],
        "hovertemplate": f"<b>{plotly_text(curve.label)}</b><br>%{{text}}<extra></extra>",
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


def _drafter_point(decoding: DecodingSummary, mark: DrafterMark, text_place: str) -> JsonValue:
    ends = told_interval(decoding.tokens_per_call)
    lines = [
        f"<b>{plotly_text(decoding.drafter)}, P ≤ {decoding.node_budget}</b>",
        f"{significant(decoding.tokens_per_call.value)} tokens per call" + (f" ({ends})" if ends else ""),
        f"{significant(decoding.nodes_per_call)} nodes in a mean call",
    ]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "cliponaxis": False,
        "name": plotly_text(decoding.drafter),
        "text": [plotly_text(shortened(decoding.drafter, _NAME_LENGTH))],
        "textposition": text_place,
        "meta": "drafter",
        "x": [decoding.nodes_per_call],
        "y": [decoding.tokens_per_call.value],
        "hovertemplate": "<br>".join(lines) + "<extra></extra>",
        "marker": {
            "symbol": mark.symbol,
            "size": 11,
            "color": "--curve-drafter",
            "line": {"color": "--paper", "width": 1.5},
        },
    }


def _limit_layout(record: DemoRecord) -> dict[str, JsonValue]:
    budget, tokens = largest_budget(record), largest_tokens_per_call(record)
    return {
        **common_layout(),
        "margin": {"l": 44, "r": 10, "t": 6, "b": 42},
        "hovermode": "closest",
        "xaxis": {
            **axis("node budget P"),
            **_doubling(powers_of_two(budget)),
            "range": [-0.1 * _DECADES_PER_OCTAVE, (log2(budget) + 0.12) * _DECADES_PER_OCTAVE],
        },
        "yaxis": {
            **axis("tokens per call"),
            **_doubling(powers_of_two(tokens)),
            "range": [-0.15 * _DECADES_PER_OCTAVE, (log2(tokens) + 0.15) * _DECADES_PER_OCTAVE],
        },
    }


def _doubling(ticks: list[int]) -> dict[str, JsonValue]:
    return {"type": "log", "tickvals": list(ticks), "ticktext": [str(tick) for tick in ticks]}
