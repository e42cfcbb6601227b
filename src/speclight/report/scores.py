"""Scores of a trace as flat rows for programs, as a table in Parquet, and as a figure of their frontier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from speclight.advice.score import Score, frontier, scored_nodes
from speclight.measure.estimates import Estimate
from speclight.report.canvas import canvas, write_figure
from speclight.report.palette import SERIES
from speclight.writing import write_whole

Row = dict[str, object]


def score_row(found: Score) -> Row:
    """One configuration as a flat row: each estimate with its standard error and the ends of its interval."""
    configuration = found.configuration
    return {
        "drafter": configuration.drafter,
        "growth": configuration.growth,
        "rule": configuration.rule,
        "node_budget": configuration.node_budget,
        "start_law": "call starts" if found.decode is not None else "uniform positions",
        **_flat("tokens_per_call", found.tokens_per_call),
        **_flat("uniform", found.uniform),
        **_flat("share_of_best_tree", found.share),
        "best_tree": found.best_tree,
        "coupling_bound": found.coupling,
        "nodes": found.nodes,
        "draft_calls": found.draft_calls,
        "draft_nodes": found.draft_nodes,
    }


def write_scores(scores: Sequence[Score], path: Path) -> Path:
    """All rows as one Parquet file. Raises StorageError if it cannot be written."""
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([score_row(found) for found in scores]), buffer, compression="zstd")
    return write_whole(path, buffer.getvalue().to_pybytes())


def draw_frontier(
    scores: Sequence[Score],
    path: Path,
    cost: Callable[[Score], float] = scored_nodes,
    label: str = "nodes scored in a target call",
) -> Path:
    """Tokens per call over what a call costs: every configuration a dot, each drafter's frontier a line.

    Dashed is the target's own best tree of as many nodes as the frontier's trees may have, at their starts.
    Writes and returns `path`.
    """
    plain = [found for found in scores if found.configuration.is_plain]
    by_drafter: dict[str, list[Score]] = {}
    for found in scores:
        if not found.configuration.is_plain:
            by_drafter.setdefault(found.configuration.drafter, [*plain]).append(found)
    with canvas():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for (drafter, own), (colour, marker) in zip(by_drafter.items(), cycle(SERIES), strict=False):
            line = frontier(own, cost)
            axes.scatter(*_points(own, cost), s=5, color=colour, alpha=0.25, linewidths=0)
            axes.plot(*_points(line, cost), color=colour, marker=marker, markersize=3, label=drafter)
        best = frontier(scores, cost)
        limits = [found.best_tree for found in best]
        axes.plot([cost(found) for found in best], limits, "--", color="black", label="best tree")
        axes.set_xlabel(label)
        axes.set_ylabel("tokens per call")
        axes.grid(visible=True)
        axes.legend(fontsize=7)
        return write_figure(figure, path)


def _points(scores: Sequence[Score], cost: Callable[[Score], float]) -> tuple[list[float], list[float]]:
    return [cost(each) for each in scores], [each.tokens_per_call.value for each in scores]


def _flat(name: str, value: Estimate) -> Row:
    return {
        name: value.value,
        f"{name}_error": value.standard_error,
        f"{name}_low": value.low,
        f"{name}_high": value.high,
    }
