"""Call times as tables and as a figure, with the machine's roofline beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from speclight.measure.latency.curve import FLAT_SHARE, CallTimeCurve
from speclight.measure.latency.record import LatencyRecord
from speclight.report.canvas import canvas, write_figure
from speclight.report.number_format import percent, significant
from speclight.report.palette import series_look
from speclight.report.table import Cell, Column, Table, count, number, words


def latency_table(record: LatencyRecord, curve: CallTimeCurve) -> Table:
    """One row for each size: at every context milliseconds and their quartiles, against one node, roofline.

    What the roofline says is a share: the least possible time over the median.
    """
    columns = [Column("nodes", "nodes")]
    for context in curve.context_tokens:
        group = f"after {context} tokens"
        columns += [
            Column(f"ms_{context}", "ms (middle half)", group),
            Column(f"ratio_{context}", "T / T(1)", group),
            Column(f"roofline_{context}", "of the roofline", group),
        ]
    rows = [
        (
            count(int(nodes)),
            *(cell for at in range(len(curve.context_tokens)) for cell in _cells(record, curve, at, place)),
        )
        for place, nodes in enumerate(curve.nodes)
    ]
    batch = "" if curve.batch_size == 1 else f", {curve.batch_size} texts a call"
    return Table(
        f"call-times-{curve.batch_size}", f"Call times of {record.target}{batch}", tuple(columns), tuple(rows)
    )


def _cells(record: LatencyRecord, curve: CallTimeCurve, context: int, place: int) -> list[Cell]:
    median = float(curve.medians[context, place])
    nodes, tokens = int(curve.nodes[place]), int(curve.context_tokens[context])
    return [
        _spread(median, float(curve.low[context, place]), float(curve.high[context, place])),
        number(float(median / curve.medians[context, 0])),
        _roofline_share(record, nodes, tokens, curve.batch_size, median),
    ]


def _roofline_share(record: LatencyRecord, nodes: int, tokens: int, batch_size: int, seconds: float) -> Cell:
    if record.work is None or record.ceilings is None:
        return number(None)
    share = record.ceilings.least_seconds(record.work, nodes, tokens, batch_size) / seconds
    return Cell(share, percent(share))


def drafter_times(record: LatencyRecord) -> Table:
    """One row for each drafter and number of nodes that one of its calls looked at."""
    columns = (
        Column("drafter", "drafter", is_text=True),
        Column("call", "call", is_text=True),
        Column("nodes", "nodes"),
        Column("ms", "ms (middle half)"),
    )
    rows: list[tuple[Cell, ...]] = []
    for times in record.drafters:
        name = words(times.drafter)
        rows.append((name, words("first"), count(1), _spread(*times.first[[1, 0, 2]])))
        for place, nodes in enumerate(times.nodes.tolist()):
            spread = _spread(times.medians[place], times.low[place], times.high[place])
            rows.append((name, words("later"), count(nodes), spread))
    context = record.drafters[0].context_tokens if record.drafters else 0
    return Table("drafter-times", f"Drafters' calls, after {context} tokens", columns, tuple(rows))


SHOWN_SIZES = (2, 16)


def loop_times(record: LatencyRecord) -> Table:
    """One row for each drafter and growth: what is around the target's pass and the drafter's own calls."""
    columns = [Column("drafter", "drafter", is_text=True), Column("growth", "tree", is_text=True)]
    for size in SHOWN_SIZES:
        columns += [
            Column(f"growing_ms_{size}", "growing, ms", f"{size} nodes"),
            Column(f"loop_ms_{size}", "verifying and committing, ms", f"{size} nodes"),
        ]
    rows: list[tuple[Cell, ...]] = []
    for times in record.loops:
        for growth in times.growths:
            cells = [words(times.drafter), words(growth)]
            for size in SHOWN_SIZES:
                growing = None if times.levels is None else 1e3 * float(times.growing_seconds(growth, size))
                cells += [number(growing), number(1e3 * float(times.loop_seconds(growth, size)))]
            rows.append(tuple(cells))
    return Table("loop-times", "Around the calls of target and drafter", tuple(columns), tuple(rows))


def _spread(median: float, low: float, high: float) -> Cell:
    """Seconds as milliseconds, with their middle half."""
    median, low, high = 1e3 * float(median), 1e3 * float(low), 1e3 * float(high)
    return Cell(median, significant(median), f"{significant(low)} to {significant(high)}", low, high)


def sentences(record: LatencyRecord) -> list[str]:
    """What a reader should see first: knees, falls, ceilings, and what may have disturbed the timing."""
    told: list[str] = []
    for curve in record.curves:
        batch = "" if curve.batch_size == 1 else f", {curve.batch_size} texts a call"
        knees = ", ".join(
            f"{_nodes(curve.flat_to(int(tokens)))} after {tokens} tokens" for tokens in curve.context_tokens
        )
        told.append(f"within {FLAT_SHARE:.0%} of one node{batch}: up to {knees}")
        told += [
            f"after {fall.context_tokens} tokens{batch}, {fall.larger} nodes are faster than {fall.smaller}"
            for fall in curve.falls
        ]
    ceilings = record.ceilings
    if ceilings is not None:
        streamed = ceilings.stream_bytes_per_second
        told.append(
            f"ceilings: {ceilings.memory_bytes_per_second / 1e9:.1f} GB/s of memory, "
            f"{ceilings.flops_per_second / 1e9:.0f} GFLOP/s"
            + ("" if streamed is None else f", weights streamed at {streamed / 1e9:.2f} GB/s at most")
        )
    if len(record.layers_measured) > 1:
        few, many = record.layers_measured
        told.append(
            f"timed with {few} and {many} of {record.layers} layers; the "
            "seconds of all are on the straight line through both"
        )
    told += [f"note: {caution}" for caution in record.cautions]
    if record.load is not None and record.load.is_shared:
        told.append("other work wanted the same cores while this was timed: measure again on a quiet machine")
    return told


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def draw(record: LatencyRecord, path: Path, batch_size: int | None = None) -> Path:
    """T(nodes) at every context, the quartiles as bars, and the roofline of each dashed below.

    batch_size: the smallest if None. Writes and returns `path`.
    """
    curve = record.curve if batch_size is None else record.of_batch(batch_size)
    with canvas():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for place, tokens in enumerate(curve.context_tokens):
            colour, marker = series_look(place)
            median = 1e3 * curve.medians[place]
            spread = [median - 1e3 * curve.low[place], 1e3 * curve.high[place] - median]
            axes.errorbar(
                curve.nodes,
                median,
                yerr=spread,
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1.4,
                capsize=2,
                label=f"after {tokens} tokens",
            )
            if record.work is not None and record.ceilings is not None:
                nodes = np.geomspace(curve.nodes[0], curve.nodes[-1], 200)
                least = [
                    1e3 * record.ceilings.least_seconds(record.work, size, int(tokens), curve.batch_size)
                    for size in nodes
                ]
                label = "roofline of each" if place == 0 else None
                axes.plot(nodes, least, color=colour, linewidth=1.0, linestyle=(0, (4, 3)), label=label)
        axes.set_xscale("log", base=2)
        axes.set_xticks(curve.nodes, [str(size) for size in curve.nodes], fontsize=7)
        axes.minorticks_off()
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("nodes of the tree, the root included")
        axes.set_ylabel("milliseconds of a target call")
        axes.grid(axis="y", linewidth=0.3)
        axes.set_title(_title(record, curve), fontsize=8)
        axes.legend(fontsize=7)
        return write_figure(figure, path)


def _title(record: LatencyRecord, curve: CallTimeCurve) -> str:
    batch = "" if curve.batch_size == 1 else f", {curve.batch_size} texts a call"
    measured = record.layers_measured
    lines = f"; from {measured[0]} and {measured[1]} of {record.layers} layers" if len(measured) > 1 else ""
    return f"{record.target}{batch}{lines}; bars: middle half of the rounds"
