"""One picture of every bound over the node budget: a panel per target, a line per statement."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from matplotlib.axes import Axes

from speclight.errors import InvalidInput
from speclight.experiments.limits.panels import BoundPanel
from speclight.report.canvas import (
    canvas,
    checked_format,
    common_legend,
    dash_pattern,
    panel_grid,
    write_figure,
)
from speclight.report.curve_style import COLOURS, statement_style


def write_bound_figure(panels: tuple[BoundPanel, ...], path: Path) -> Path:
    """Draw the panels side by side into a .png or .svg file. Equal panels give equal SVG files.

    Raises InvalidInput for another ending or no panel, StorageError if the file cannot be written.
    """
    checked_format(path)
    if not panels:
        raise InvalidInput("a figure of bounds needs at least one panel, got none")
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    columns = min(3, len(panels))
    rows = ceil(len(panels) / columns)
    with canvas():
        size = (4.2 * columns, 3.6 * rows + 0.5 + 0.16 * len(names))
        figure, axes = panel_grid(size, rows, columns, len(panels))
        for ax, panel in zip(axes, panels, strict=True):
            _draw(ax, panel)
        common_legend(figure, names)
        return write_figure(figure, path)


def _draw(ax: Axes, panel: BoundPanel) -> None:
    for place, curve in enumerate(panel.curves):
        style = statement_style(curve.name)
        # Markers on every third point, those of different curves beside each other; the truth has all.
        spacing = (place % 3, 3) if curve.side != "measured" and len(panel.budgets) > 3 else None
        ax.plot(
            panel.budgets,
            curve.values,
            linestyle=dash_pattern(style.dashes),
            color=COLOURS[style.variable].light,
            marker=style.marker or None,
            markevery=spacing,
            markersize=3.5 if curve.side == "measured" else 4.5,
            linewidth=style.width,
            label=curve.name,
        )
    highest = max(
        max(c.values) for c in panel.curves if c.side in ("measured", "lower") or c.name == "renewal"
    )
    ax.set_ylim(0, max(4.0, 2.5 * highest))  # looser bounds leave the picture rather than flatten the rest
    ax.set_xscale("log", base=2)
    ax.set_xlabel("node budget P")
    ax.set_ylabel("tokens per call")
    ax.set_title(panel.title, loc="left")
    ax.grid()
