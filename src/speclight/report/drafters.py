"""The comparison of drafters as Markdown tables and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from speclight.experiments.drafters.limit_checks import DrafterCheck
from speclight.experiments.drafters.run import DrafterComparison
from speclight.experiments.drafters.summary import DrafterRow
from speclight.measure.estimates import Estimate
from speclight.report.canvas import canvas, write_figure
from speclight.report.markdown import markdown_table
from speclight.report.palette import GREY, series_look


def markdown(
    comparison: DrafterComparison, rows: Sequence[DrafterRow], checks: Sequence[DrafterCheck] = ()
) -> str:
    """How it was measured, one table for each temperature, tokens per call by family, and the limits kept."""
    by_temperature = [
        [row for row in rows if row.temperature == temperature]
        for temperature in comparison.settings.temperatures
    ]
    return "\n\n".join(
        [
            _conditions(comparison, rows),
            *(_table(own) for own in by_temperature),
            _families(rows),
            *([_limits(checks)] if checks else []),
        ]
    )


def drafter_label(row: DrafterRow) -> str:
    """The drafter's name, with its exit where one was chosen, and a mark where it is no way to be faster."""
    exit_named = row.drafter if row.layers is None else f"{row.drafter}, {row.layers} layers"
    return f"{exit_named} (analysis only)" if row.is_for_analysis else exit_named


def _conditions(comparison: DrafterComparison, rows: Sequence[DrafterRow]) -> str:
    settings = comparison.settings
    threads = "1 thread" if comparison.threads == 1 else f"{comparison.threads} threads"
    return (
        f"{comparison.target}, P = {settings.node_budget}, best-first trees, {rows[0].texts} prompts of "
        f"{len(rows[0].by_family)} families, at most {settings.max_tokens} tokens each; "
        f"{comparison.machine}, {threads}. Intervals are 95%, clustered by prompt. Times leave out the "
        "prompt's pass and each text's first call."
    )


def _table(rows: Sequence[DrafterRow]) -> str:
    is_greedy = rows[0].near_tie_divergences is not None
    heads = ["drafter", "tokens per call", "nodes", "drafter calls", "drafting", "verify + commit"]
    heads += ["ms per call", "speed against plain", "looping text"]
    heads += ["texts off plain greedy: near ties, others"] if is_greedy else []
    lines: list[list[str]] = []
    for row in rows:
        cells = [
            drafter_label(row),
            _interval(row.tokens_per_call),
            f"{row.nodes_per_call:.1f}",
            f"{row.drafter_calls_per_call:.1f}",
            _share(row.draft_share),
            _share(row.loop_share),
            "–" if row.milliseconds_per_call is None else f"{row.milliseconds_per_call:.0f}",
            "–" if row.speed_up is None else f"{row.speed_up:.2f}",
            _share(row.looping_share),
        ]
        cells += [f"{row.near_tie_divergences}, {row.other_divergences}"] if is_greedy else []
        lines.append(cells)
    return f"**Temperature {rows[0].temperature:g}**\n\n{markdown_table(heads, lines)}"


def _families(rows: Sequence[DrafterRow]) -> str:
    heads = ["drafter", "temperature", *(family.family for family in rows[0].by_family)]
    lines = [
        [
            drafter_label(row),
            f"{row.temperature:g}",
            *(f"{family.tokens_per_call.value:.2f}" for family in row.by_family),
        ]
        for row in rows
    ]
    return f"**Tokens per call by family**\n\n{markdown_table(heads, lines)}"


def _limits(checks: Sequence[DrafterCheck]) -> str:
    """Tokens per call beside the decode bound of the very same texts."""
    heads = ["drafter", "temperature", "tokens per call", "none exceeds", "share", "within its limit"]
    lines = [
        [
            item.drafter,
            f"{item.temperature:g}",
            f"{item.check.reached:.2f}",
            f"{item.check.limit:.2f}",
            _share(item.check.share),
            "**NO: a bug in decode or bound**" if item.check.exceeds else "yes",
        ]
        for item in checks
    ]
    return f"**The limit of the texts decoded**\n\n{markdown_table(heads, lines)}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def draw(comparison: DrafterComparison, rows: Sequence[DrafterRow], path: Path) -> Path:
    """Tokens per call and speed against plain decoding, a line for each drafter, a colour a temperature.

    Writes and returns `path`.
    """
    labels = list(dict.fromkeys(drafter_label(row) for row in rows))
    with canvas():
        figure = Figure(figsize=(8.4, 0.34 * len(labels) + 1.4), layout="constrained")
        tokens, speeds = figure.subplots(1, 2, sharey=True)
        for order, temperature in enumerate(comparison.settings.temperatures):
            own = [row for row in rows if row.temperature == temperature]
            colour, marker = series_look(order)
            # Temperatures a little apart, so that their intervals do not cover each other.
            heights = [labels.index(drafter_label(row)) + 0.18 * order for row in own]
            style = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 5}
            estimates = [row.tokens_per_call for row in own]
            below = [_half(estimate.value, estimate.low) for estimate in estimates]
            above = [_half(estimate.value, estimate.high) for estimate in estimates]
            tokens.errorbar(
                [estimate.value for estimate in estimates],
                heights,
                xerr=[below, above],
                label=f"temperature {temperature:g}",
                capsize=2,
                **style,
            )
            timed = [(row.speed_up, height) for row, height in zip(own, heights, strict=True) if row.speed_up]
            speeds.plot([speed for speed, _ in timed], [height for _, height in timed], **style)
        tokens.set_yticks(range(len(labels)), labels)
        tokens.invert_yaxis()
        tokens.set_xlabel(f"tokens per call, P = {comparison.settings.node_budget}")
        speeds.set_xlabel("speed against plain decoding")
        for axes in (tokens, speeds):
            axes.axvline(1.0, color=GREY, linewidth=0.8)
            axes.grid(axis="x", linewidth=0.3)
        tokens.legend(fontsize=7, frameon=False, loc="upper right")
        return write_figure(figure, path)


def _half(value: float, end: float | None) -> float:
    return 0.0 if end is None else abs(end - value)
