"""The figure of `bench_peers.py`: tokens per second of every way, from the record that it prints last.

Bars: geometric mean over the families; whiskers: the slowest and the fastest of them. Lines: the limit of
speculation with deterministic drafts, and what reading all weights once a token would allow.

    python benchmarks/peers_figure.py RECORD.json --out docs/figures/peers.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from scipy.stats import gmean

from speclight.report.canvas import canvas, common_legend, panel_grid, write_figure
from speclight.report.palette import BLUE, EDGE, GREEN, VERMILION

COLOURS = {"speclight": BLUE, "Transformers": EDGE, "llama.cpp Q4": VERMILION, "vLLM": GREEN}
LIMIT, CEILING = "limit of speculation here", "every weight read once a token"
DASHES = {LIMIT: "--", CEILING: ":"}


def drawn(axes: Axes, rows: list[dict[str, Any]], temperature: float, lines: dict[str, float]) -> None:
    """One temperature's bars, the first way on top."""
    names = [str(row["decoder"]) for row in rows]
    means = [float(gmean(list(row["tokens_per_second"].values()))) for row in rows]
    least = [mean - row["least"] for mean, row in zip(means, rows, strict=True)]
    most = [row["most"] - mean for mean, row in zip(means, rows, strict=True)]
    places = range(len(rows))
    colours = [next(colour for owner, colour in COLOURS.items() if name.startswith(owner)) for name in names]
    axes.barh(places, means, color=colours, height=0.7)
    axes.errorbar(means, places, xerr=[least, most], fmt="none", ecolor="black", elinewidth=1, capsize=2)
    for label, value in lines.items():
        axes.axvline(value, color=EDGE, linestyle=DASHES[label], linewidth=1, label=label)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set_xlabel("tokens per second")
    axes.set_title(f"temperature {temperature:g}", loc="left")


def main() -> None:
    parser = argparse.ArgumentParser(description="The figure of bench_peers.py.")
    parser.add_argument("record", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = json.loads(options.record.read_text(encoding="utf-8"))["rows"]
    limits = {row["temperature"]: row for row in rows if "limit_tokens_per_second" in row}
    ceiling = next(row["ceiling_tokens_per_second"] for row in rows if "ceiling_tokens_per_second" in row)
    ways = [row for row in rows if "decoder" in row]
    temperatures = sorted({row["temperature"] for row in ways})
    with canvas():
        figure, panels = panel_grid((9.0, 4.6), 1, len(temperatures), len(temperatures))
        for axes, temperature in zip(panels, temperatures, strict=True):
            lines = {CEILING: ceiling}
            if temperature in limits:
                lines = {LIMIT: limits[temperature]["limit_tokens_per_second"], **lines}
            own = [row for row in ways if row["temperature"] == temperature]
            drawn(axes, own, temperature, lines)
            if axes is not panels[0]:
                axes.set_yticklabels([])
        common_legend(figure, [LIMIT, CEILING])
        write_figure(figure, options.out)


if __name__ == "__main__":
    main()
