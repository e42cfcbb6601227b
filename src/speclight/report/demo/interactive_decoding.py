"""The page's interactive figures of decoding: where a token's time goes, and acceptance by depth."""

from __future__ import annotations

from math import isfinite

from speclight.experiments.demo.record import DecodingSummary, DemoRecord
from speclight.report.curve_style import DrafterMark, drafter_marks
from speclight.report.demo.plotly_parts import (
    InteractiveFigure,
    axis,
    common_layout,
    plotly_text,
    specification,
)
from speclight.report.demo.record_file import JsonValue
from speclight.report.demo.selection import drafters_of, shown_acceptance
from speclight.report.demo.time_rows import PHASES, PLAIN, TimeRow, time_rows
from speclight.report.number_format import percent, shortened, significant

_ROW_PIXELS = 38
_NAME_LENGTH = 20  # characters beside a row that leave a phone some room for the row


def time_figure(record: DemoRecord) -> InteractiveFigure | None:
    """Milliseconds per token by phase, a bar per decoder and temperature."""
    rows = time_rows(record)
    if not rows:
        return None
    heights, labels = _heights(rows)
    return InteractiveFigure(
        element_id="time-0",
        title="Where the time of a token goes",
        height=60 + _ROW_PIXELS * len(labels),
        specification=specification(_bars(rows, heights), _time_layout(rows, labels)),
    )


def acceptance_figure(record: DemoRecord) -> InteractiveFigure | None:
    """Share of offered drafts that were accepted, over their depth, a line per drafter and temperature."""
    runs = [run for run in record.overall if shown_acceptance(run)]
    if not runs:
        return None
    marks = drafter_marks(drafters_of(record))
    deepest = max(depth.depth for run in runs for depth in shown_acceptance(run))
    layout: dict[str, JsonValue] = {
        **common_layout(),
        "margin": {"l": 62, "r": 10, "t": 6, "b": 42},
        "hovermode": "closest",
        "xaxis": {**axis("depth of the draft"), "dtick": 1, "range": [0.7, deepest + 0.3]},
        "yaxis": {**axis("accepted of offered"), "range": [0, 1.04], "tickformat": ".0%"},
    }
    return InteractiveFigure(
        element_id="acceptance-0",
        title="Acceptance by depth",
        height=320,
        specification=specification([_line(run, marks[run.drafter]) for run in runs], layout),
    )


def _heights(rows: list[TimeRow]) -> tuple[list[int], dict[int, str]]:
    """Where each bar lies, downwards, and what stands beside it; a row of its own heads each temperature."""
    heights: list[int] = []
    labels: dict[int, str] = {}
    for row in rows:
        if row.decoder == PLAIN and not row.by_phase:
            labels[-len(labels)] = f"<b>temperature {row.temperature:g}</b> "
        heights.append(-len(labels))
        labels[heights[-1]] = f"{plotly_text(shortened(row.decoder, _NAME_LENGTH))} "
    return heights, labels


def _bars(rows: list[TimeRow], heights: list[int]) -> list[JsonValue]:
    plain = [None if row.by_phase else row.milliseconds for row in rows]
    traces: list[JsonValue] = [_segment(PLAIN, "plain", plain, heights)]
    for phase in PHASES:
        lengths = [row.by_phase.get(phase.name) for row in rows]
        traces.append(_segment(phase.label, phase.colour, lengths, heights))
    notes: list[JsonValue] = [f"   {plotly_text(row.note)}" for row in rows]
    traces.append(
        {
            "type": "scatter",
            "mode": "text",
            "x": [row.milliseconds for row in rows],
            "y": list(heights),
            "text": notes,
            "textposition": "middle right",
            "cliponaxis": False,
            "hoverinfo": "skip",
        }
    )
    return traces


def _segment(label: str, colour: str, lengths: list[float | None], heights: list[int]) -> JsonValue:
    return {
        "type": "bar",
        "orientation": "h",
        "name": label,
        "x": list(lengths),
        "y": list(heights),
        "width": 0.62,
        "text": [significant(length) for length in lengths],
        "textposition": "none",
        "hovertemplate": f"{label}: %{{text}} ms a token<extra></extra>",
        "marker": {"color": f"--curve-{colour}", "line": {"color": "--paper", "width": 1}},
    }


def _time_layout(rows: list[TimeRow], labels: dict[int, str]) -> dict[str, JsonValue]:
    longest = max([1.0, *(row.milliseconds for row in rows if isfinite(row.milliseconds))])
    return {
        **common_layout(),
        "barmode": "stack",
        "margin": {"l": 10, "r": 10, "t": 6, "b": 42},
        "hovermode": "closest",
        # Room at the right for the words beside the longest bar.
        "xaxis": {
            **axis("milliseconds per token"),
            "range": [0.0, 2.4 * longest],
            "nticks": 5,
        },
        "yaxis": {
            **axis(""),
            "showgrid": False,
            "automargin": True,
            "range": [0.5 - len(labels), 0.6],
            "tickvals": list(labels),
            "ticktext": list(labels.values()),
        },
    }


def _line(run: DecodingSummary, mark: DrafterMark) -> JsonValue:
    depths = shown_acceptance(run)
    rates = [depth.accepted / depth.offered for depth in depths]
    label = f"{plotly_text(run.drafter)}, temperature {run.temperature:g}"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label,
        "cliponaxis": False,
        "x": [depth.depth for depth in depths],
        "y": list(rates),
        "text": [
            f"depth {depth.depth}: {percent(rate)} of {depth.offered} offered"
            for depth, rate in zip(depths, rates, strict=True)
        ],
        "hovertemplate": f"<b>{label}</b><br>%{{text}}<extra></extra>",
        "line": {"color": "--curve-drafter", "width": 1.8, "dash": "solid" if run.temperature else "4px,3px"},
        "marker": {"symbol": mark.symbol, "size": 10, "color": "--curve-drafter"},
    }
