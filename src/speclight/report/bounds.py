"""One picture of every bound over the node budget: a panel per target, a line per statement."""

from __future__ import annotations

import warnings
from io import BytesIO
from math import ceil
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speclight.errors import InvalidInput
from speclight.experiments.limits.panels import BoundPanel
from speclight.measure.store import write_whole

FORMATS = (".png", ".svg")
# Upper bounds solid, lower dashed, leading terms dotted; what was measured is drawn with markers.
_LINES: dict[str, str] = {"upper": "-", "lower": "--", "asymptotic": ":", "measured": "-"}
# Okabe and Ito's colours, in the order in which the statements usually come.
_COLOURS = ("#b06f00", "#d55e00", "#56b4e9", "#b4558c", "#008f68", "#0072b2", "#5f6670", "#000000")


def write_bound_figure(panels: tuple[BoundPanel, ...], path: Path) -> Path:
    """Draw the panels side by side into a .png or .svg file. Equal panels give equal SVG files.

    Raises InvalidInput for another ending, StorageError if the file cannot be written.
    """
    if path.suffix not in FORMATS or not panels:
        raise InvalidInput(f"a figure is written as {' or '.join(FORMATS)}, got {path.name!r}; rename it")
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    columns = min(3, len(panels))
    rows = ceil(len(panels) / columns)
    with matplotlib.style.context("default"), matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rc("svg", hashsalt="speclight", fonttype="path")
        matplotlib.rc("font", size=9)
        matplotlib.rc("axes.spines", top=False, right=False)
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(4.2 * columns, 3.6 * rows + 0.5 + 0.16 * len(names)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for number, ax in enumerate(axes.flat):
            if number < len(panels):
                _draw(ax, panels[number], names)
            else:
                ax.set_axis_off()
        handles = {
            label: handle
            for ax in axes.flat
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            [handles[name] for name in names], names, loc="outside lower center", ncols=3, frameon=False
        )
        content = BytesIO()
        stamp = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(content, format=path.suffix[1:], dpi=120, metadata=stamp)
    return write_whole(path, content.getvalue())


def _draw(ax: Axes, panel: BoundPanel, names: list[str]) -> None:
    for curve in panel.curves:
        measured = curve.side == "measured"
        ax.plot(
            panel.budgets,
            curve.values,
            _LINES[curve.side],
            color="#000000" if measured else _COLOURS[names.index(curve.name) % len(_COLOURS)],
            marker="o" if measured else None,
            markersize=3.5,
            linewidth=2.0 if measured else 1.4,
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
    ax.grid(color="#e3e6ea")
