"""How figures are drawn and written: apart from the reader's settings, equal data to equal SVG files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Literal

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speclight.errors import InvalidInput
from speclight.report.palette import EDGE, RULE
from speclight.writing import write_whole

FORMATS = (".png", ".svg")
PIXELS_PER_POINT = 96 / 72  # dash lengths are CSS pixels, Matplotlib counts in points
_PNG_DPI = 160


@contextmanager
def canvas(font_size: float = 9.0) -> Iterator[None]:
    """Draw and write figures inside: one look, whatever the caller's backend, style and warnings."""
    with matplotlib.style.context("default"), matplotlib.rc_context(), warnings.catch_warnings():
        # Element ids from content alone: equal figures give equal files.
        matplotlib.rc("svg", hashsalt="speclight", fonttype="path")
        matplotlib.rc("font", size=font_size)
        matplotlib.rc("axes", edgecolor=EDGE, axisbelow=True)
        matplotlib.rc("axes.spines", top=False, right=False)
        matplotlib.rc("grid", color=RULE)
        matplotlib.rc("legend", frameon=False)
        # Family names come from the user's file, in any script; a box in the PNG is no reason to complain.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def figure_bytes(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a .png or .svg file; equal figures of one canvas give equal bytes."""
    content = BytesIO()
    stamp = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
    figure.savefig(content, format=suffix[1:], dpi=_PNG_DPI, metadata=stamp)
    return content.getvalue()


def panel_grid(size: tuple[float, float], rows: int, columns: int, panels: int) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, row by row, and their axes; places that are left over stay empty.

    size: inches. To be drawn and written within one `canvas`.
    """
    figure = Figure(figsize=size, layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for left_over in axes[panels:]:
        left_over.set_axis_off()
    return figure, axes[:panels]


def common_legend(figure: Figure, labels: Sequence[str] | None = None) -> None:
    """One legend below all panels, each label once. labels: their order; that of the panels if not given."""
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    order = list(handles) if labels is None else list(labels)
    figure.legend([handles[label] for label in order], order, loc="outside lower center", ncols=3)


def write_figure(figure: Figure, path: Path) -> Path:
    """Write the figure whole or not at all, and return the path.

    Raises InvalidInput for an ending other than .png and .svg, StorageError if it cannot be written.
    """
    return write_whole(checked_format(path), figure_bytes(figure, path.suffix))


def checked_format(path: Path) -> Path:
    """The path. Raises InvalidInput unless it ends in .png or .svg."""
    if path.suffix not in FORMATS:
        raise InvalidInput(f"a figure is written as {' or '.join(FORMATS)}, got {path.name!r}; rename it")
    return path


def dash_pattern(dashes: tuple[int, ...]) -> Literal["solid"] | tuple[float, tuple[float, ...]]:
    """Matplotlib's line style for on-off lengths in CSS pixels; solid for none."""
    # Matplotlib multiplies dash lengths by the line width, CSS does not; 1.6 px is the width of dashed lines.
    return (0.0, tuple(length / (PIXELS_PER_POINT * 1.6) for length in dashes)) if dashes else "solid"
