"""The figures of decoding as still images: where a token's time goes, and acceptance by depth."""

from __future__ import annotations

from math import isfinite

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from speclight.experiments.demo.record import DemoRecord
from speclight.report.curve_style import COLOURS, drafter_marks
from speclight.report.demo.selection import drafters_of, shown_acceptance
from speclight.report.demo.time_rows import PHASES, time_rows
from speclight.report.number_format import shortened

_NAME_LENGTH = 28  # characters that fit beside a row


def time_figure(record: DemoRecord) -> Figure | None:
    """Milliseconds per token by phase, a bar per decoder and temperature; None if nothing was decoded."""
    rows = [row for row in time_rows(record) if isfinite(row.milliseconds)]
    if not rows:
        return None
    figure = Figure(figsize=(7.2, 0.36 * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        left = 0.0
        parts = [(row.by_phase.get(phase.name, 0.0), phase.colour) for phase in PHASES]
        for length, colour in parts if row.by_phase else [(row.milliseconds, "plain")]:
            axes.barh(
                -place, length, left=left, height=0.62, color=COLOURS[colour].light, edgecolor="white", lw=0.8
            )
            left += length
        axes.annotate(
            row.note, (row.milliseconds, -place), xytext=(7, 0), textcoords="offset points", va="center"
        )
    labels = [f"{shortened(row.decoder, _NAME_LENGTH)}, T = {row.temperature:g}" for row in rows]
    axes.set_yticks([-place for place in range(len(rows))], labels, parse_math=False)
    axes.set_xlim(0.0, 1.6 * max(row.milliseconds for row in rows))
    axes.set_xlabel("milliseconds per token, shorter is faster")
    handles = [Patch(color=COLOURS[phase.colour].light, label=phase.label) for phase in PHASES]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(PHASES))
    return figure


def acceptance_figure(record: DemoRecord) -> Figure | None:
    """Share of offered drafts accepted over their depth, a line per drafter and temperature, or None."""
    runs = [run for run in record.overall if shown_acceptance(run)]
    if not runs:
        return None
    marks = drafter_marks(drafters_of(record))
    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for run in runs:
        depths = shown_acceptance(run)
        name = shortened(run.drafter, _NAME_LENGTH).replace("$", r"\$")
        axes.plot(
            [depth.depth for depth in depths],
            [depth.accepted / depth.offered for depth in depths],
            marker=marks[run.drafter].marker,
            linestyle="-" if run.temperature else "--",
            color=COLOURS["drafter"].light,
            label=f"{name}, T = {run.temperature:g}",
            clip_on=False,
        )
    deepest = max(depth.depth for run in runs for depth in shown_acceptance(run))
    axes.set_xticks(range(1, deepest + 1))
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("depth of the draft")
    axes.set_ylabel("accepted of offered")
    figure.legend(loc="outside right upper")
    return figure
