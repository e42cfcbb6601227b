"""The report's figures as PNG and SVG files, drawn without pyplot and without the reader's settings."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from speclight.experiments.demo.record import DecodingSummary, DemoRecord, FamilyLimits, LimitCurve
from speclight.report.canvas import canvas, dash_pattern, figure_bytes, write_figure
from speclight.report.curve_style import (
    COLOURS,
    DrafterMark,
    drafter_marks,
    in_legend_order,
    legend_label,
    style_of,
)
from speclight.report.demo.selection import (
    decodings_beside,
    distinct_curves,
    drafters_of,
    largest_budget,
    largest_tokens_per_call,
    panel_title,
    powers_of_two,
    visible_points,
)
from speclight.report.demo.still_decoding import acceptance_figure, time_figure
from speclight.report.number_format import shortened
from speclight.writing import write_whole

_NAME_LENGTH, _LEGEND_LENGTH = 28, 64  # characters that fit beside or above a panel, and into the legend


@dataclass(frozen=True, slots=True)
class FigureFile:
    """One figure on disk: a stem with a .png and an .svg, and the SVG's content for the page."""

    png: Path
    svg: Path
    svg_content: bytes


@dataclass(frozen=True, slots=True)
class FigureFiles:
    """The figures of one report; a figure without data is not drawn and is None."""

    limits: FigureFile | None
    time: FigureFile | None
    acceptance: FigureFile | None


def write_figures(record: DemoRecord, folder: Path) -> FigureFiles:
    """Draw all figures into folder as PNG and SVG. Equal records give byte-equal SVG files.

    Raises StorageError if a file cannot be written.
    """
    with canvas(9.5):
        return FigureFiles(
            limits=_saved(_limits_figure(record) if record.limits else None, folder / "limits"),
            time=_saved(time_figure(record), folder / "time"),
            acceptance=_saved(acceptance_figure(record), folder / "acceptance"),
        )


def _saved(figure: Figure | None, stem: Path) -> FigureFile | None:
    if figure is None:
        return None
    svg = stem.with_suffix(".svg")
    content = figure_bytes(figure, ".svg")
    return FigureFile(
        png=write_figure(figure, stem.with_suffix(".png")), svg=write_whole(svg, content), svg_content=content
    )


def _limits_figure(record: DemoRecord) -> Figure:
    columns = min(3, len(record.limits))
    rows = ceil(len(record.limits) / columns)
    figure = Figure(figsize=(max(4.6, 3.3 * columns), 2.9 * rows + 1.1), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    marks = drafter_marks(drafters_of(record))
    for axes, limits in zip(panels[: len(record.limits)], record.limits, strict=True):
        _draw_limits(axes, limits, decodings_beside(limits, record), marks)
        axes.set_title(
            shortened(panel_title(limits, record), _NAME_LENGTH),
            loc="left",
            fontweight="bold",
            parse_math=False,
        )
    for axes in panels[len(record.limits) :]:
        axes.set_axis_off()
    _scale_axes(panels[0], record)
    for place, axes in enumerate(panels[: len(record.limits)]):
        below_is_empty = place + columns >= len(record.limits)
        axes.tick_params(labelbottom=below_is_empty)
        axes.set_xlabel("node budget P" if below_is_empty else "")
        axes.set_ylabel("tokens per call" if place % columns == 0 else "")
    figure.legend(handles=_legend_handles(record), loc="outside lower center", ncols=min(2, columns))
    return figure


def _draw_limits(
    axes: Axes, limits: FamilyLimits, decodings: list[DecodingSummary], marks: dict[str, DrafterMark]
) -> None:
    for curve in reversed(in_legend_order(limits.curves)):
        style = style_of(curve)
        colour = COLOURS[style.variable].light
        points = visible_points(limits.budgets, curve.values)
        axes.plot(
            *_columns(points), color=colour, linewidth=style.width, linestyle=dash_pattern(style.dashes)
        )
        if curve.lows is not None and curve.highs is not None:
            low = dict(visible_points(limits.budgets, curve.lows))
            high = dict(visible_points(limits.budgets, curve.highs))
            shared = [budget for budget in limits.budgets if budget in low and budget in high]
            axes.fill_between(
                shared,
                [low[budget] for budget in shared],
                [high[budget] for budget in shared],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
    for decoding in decodings:
        axes.plot(
            decoding.nodes_per_call,
            decoding.tokens_per_call.value,
            marker=marks[decoding.drafter].marker,
            markersize=7,
            color=COLOURS["drafter"].light,
            markeredgecolor="white",
            linestyle="none",
            zorder=5,
        )
        axes.annotate(
            shortened(decoding.drafter, _NAME_LENGTH),
            (decoding.nodes_per_call, decoding.tokens_per_call.value),
            xytext=(6, (-9, 4)[list(marks).index(decoding.drafter) % 2]),
            textcoords="offset points",
            fontsize=8,
            color=COLOURS["drafter"].light,
            parse_math=False,
        )


def _scale_axes(axes: Axes, record: DemoRecord) -> None:
    budget, tokens = largest_budget(record), largest_tokens_per_call(record)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(0.93, budget * 1.08)
    axes.set_ylim(0.9, tokens * 1.12)
    for axis, ticks in ((axes.xaxis, powers_of_two(budget)), (axes.yaxis, powers_of_two(tokens))):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_ticks([], minor=True)


def _legend_handles(record: DemoRecord) -> list[Line2D]:
    handles = [_curve_handle(curve) for curve in distinct_curves(record)]
    for name, mark in drafter_marks(drafters_of(record)).items():
        label, colour = _legend_text(f"measured: {name}"), COLOURS["drafter"].light
        handles.append(Line2D([], [], color=colour, marker=mark.marker, linestyle="none", label=label))
    return handles


def _curve_handle(curve: LimitCurve) -> Line2D:
    style = style_of(curve)
    return Line2D(
        [],
        [],
        color=COLOURS[style.variable].light,
        linewidth=style.width,
        linestyle=dash_pattern(style.dashes),
        label=_legend_text(legend_label(curve)),
    )


def _legend_text(words: str) -> str:
    return shortened(words, _LEGEND_LENGTH).replace("$", r"\$")


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [budget for budget, _ in points], [value for _, value in points]
