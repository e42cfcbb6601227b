"""Figures 1 and 2 of the paper, drawn from what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speclight.experiments.papers.figure_1 import DrafterPoint, LineFit
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.published import SYSTEMS
from speclight.experiments.papers.systems import SYSTEM_BUDGET
from speclight.measure.estimates import Estimate
from speclight.report.canvas import (
    canvas,
    checked_format,
    common_legend,
    dash_pattern,
    panel_grid,
    write_figure,
)
from speclight.report.curve_style import COLOURS, drafter_marks, statement_style
from speclight.report.palette import EDGE, INK
from speclight.theory.catalogue import BY_NAME

READING = "lemma_7_printed"
STAR = "Llama-3.1-8B"
_COLOURS = tuple(
    COLOURS[name].light
    for name in ("drafter", "oracle", "ergodic-renewal", "two-moments", "theorem-1", "renewal")
)


def draw_figure_1(points: Sequence[DrafterPoint], fits: Sequence[LineFit], path: Path) -> Path:
    """Measured tokens per call over Lemma 7 as printed: a panel per temperature, a shape per drafter.

    Colours tell data sets apart; the line is the least-squares one, the grey one is equality. Returns `path`.
    """
    checked_format(path)
    temperatures = list(dict.fromkeys(point.temperature for point in points))
    marks = drafter_marks(point.drafter for point in points)
    data = list(dict.fromkeys(point.data for point in points))
    with canvas():
        width = max(7.2, 4.4 * len(temperatures))  # room for the legend's names beside each other
        figure = Figure(figsize=(width, 5.0), layout="constrained")
        panels = figure.subplots(1, len(temperatures), squeeze=False)
        for axes, temperature in zip(panels.flat, temperatures, strict=True):
            own = [point for point in points if point.temperature == temperature]
            for point in own:
                colour = _COLOURS[data.index(point.data) % len(_COLOURS)]
                low, high = _arms(point.measured)
                axes.errorbar(
                    point.readings[READING],
                    point.measured.value,
                    yerr=[[low], [high]],
                    marker=marks[point.drafter].marker,
                    color=colour,
                    linestyle="none",
                    elinewidth=0.8,
                )
            _lines(
                axes, own, [fit for fit in fits if (fit.reading, fit.temperature) == (READING, temperature)]
            )
            axes.set_title(f"T = {temperature:g}, P = {own[0].node_budget}", loc="left")
            axes.set_xlabel("Lemma 7 as printed, tokens per call")
            axes.set_ylabel("measured tokens per call")
            axes.grid()
        _legend(figure, panels.flat[0], data, [(name, marks[name].marker) for name in marks])
        return write_figure(figure, path)


def _lines(axes: Axes, points: Sequence[DrafterPoint], fits: Sequence[LineFit]) -> None:
    ends = [min(p.readings[READING] for p in points), max(p.readings[READING] for p in points)]
    axes.plot(ends, ends, color=COLOURS["limit"].dark, linewidth=1.0)
    for fit in fits:
        axes.plot(ends, [fit.intercept + fit.slope * end for end in ends], color=EDGE, linewidth=1.4)
        within = "" if fit.low is None or fit.high is None else f" ({fit.low:.2f} to {fit.high:.2f})"
        axes.text(0.03, 0.95, f"R² = {fit.r_squared:.2f}{within}", transform=axes.transAxes, va="top")


def _legend(figure: Figure, axes: Axes, data: Sequence[str], drafters: Sequence[tuple[str, str]]) -> None:
    handles = [
        axes.plot([], [], "s", color=_COLOURS[number % len(_COLOURS)], label=name)[0]
        for number, name in enumerate(data)
    ]
    handles += [axes.plot([], [], marker, color=EDGE, label=name)[0] for name, marker in drafters]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def draw_figure_2(panels: Sequence[BudgetPanel], path: Path) -> Path:
    """Tokens per call over P, a panel per data set and temperature, a shape per drafter. Returns `path`."""
    checked_format(path)
    columns = min(3, len(panels))
    rows = ceil(len(panels) / columns)
    marks = drafter_marks(name for panel in panels for name in panel.measured)
    with canvas():
        figure, axes = panel_grid((4.2 * columns, 3.4 * rows + 0.9), rows, columns, len(panels))
        for ax, panel in zip(axes, panels, strict=True):
            _budgets(ax, panel, {name: mark.marker for name, mark in marks.items()})
        common_legend(figure)
        return write_figure(figure, path)


def _budgets(axes: Axes, panel: BudgetPanel, markers: dict[str, str]) -> None:
    for name, values in panel.bounds.items():
        style = statement_style(name)
        axes.plot(
            panel.all_budgets[: len(values)],
            values,
            linestyle=dash_pattern(style.dashes),
            color=COLOURS[style.variable].light,
            marker=style.marker or None,
            markersize=3.5,
            linewidth=style.width,
            label=BY_NAME[name].label,
        )
    _measured(axes, panel, panel.oracle, COLOURS["oracle"].light, "", "best tree, searched")
    for drafter, values in panel.measured.items():
        _measured(axes, panel, values, COLOURS["drafter"].light, markers[drafter], drafter)
    if panel.measured:
        best = max(panel.measured, key=lambda drafter: panel.measured[drafter][-1].value)
        axes.plot(
            panel.all_budgets,
            panel.lemma_7[best],
            linestyle=dash_pattern((2, 3)),
            color=COLOURS["drafter"].light,
            linewidth=1.2,
            label="Lemma 7 as printed, of the best drafter",
        )
    if panel.temperature == 1.0:
        _published(axes, panel.data)
    shown = max(each.value for each in panel.oracle)
    axes.set_ylim(0, max(4.0, 2.5 * shown))  # looser bounds leave the picture rather than flatten the rest
    axes.set_xscale("log", base=2)
    axes.set_xlabel("node budget P")
    axes.set_ylabel("tokens per call")
    axes.set_title(f"{panel.data}, T = {panel.temperature:g}", loc="left")
    axes.grid()


def _published(axes: Axes, data: str) -> None:
    """The star of the paper's Figure 2: of its target, not of the one measured here."""
    for system in SYSTEMS:
        if (system.target, system.data) == (STAR, data):
            label = f"{system.drafter}, {system.target} (published)"
            axes.plot([SYSTEM_BUDGET], [system.tokens_per_call], "*", color=INK, markersize=9, label=label)


def _measured(
    axes: Axes, panel: BudgetPanel, values: Sequence[Estimate], colour: str, marker: str, label: str
) -> None:
    arms = [_arms(value) for value in values]
    axes.errorbar(
        panel.node_budgets,
        [value.value for value in values],
        yerr=[[low for low, _ in arms], [high for _, high in arms]],
        color=colour,
        marker=marker or None,
        markersize=4,
        linewidth=1.6,
        elinewidth=0.8,
        label=label,
    )


def _arms(estimate: Estimate) -> tuple[float, float]:
    if estimate.low is None or estimate.high is None:
        return 0.0, 0.0
    return estimate.value - estimate.low, estimate.high - estimate.value
