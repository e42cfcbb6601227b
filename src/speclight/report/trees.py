"""The comparison of trees as Markdown tables and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from speclight.experiments.trees.run import BEST_FIRST, TREES
from speclight.experiments.trees.summary import TreeCell, TreeSummary
from speclight.report.canvas import canvas, write_figure

# Wong's palette: told apart by readers with any colour vision; markers tell the trees apart besides.
DRAWN: dict[str, tuple[str, str]] = {
    "best_first": ("#0072B2", "o"),
    "eagle2": ("#D55E00", "s"),
    "static": ("#009E73", "^"),
    "chain": ("#000000", "v"),
    "batch": ("#999999", "D"),
}


def markdown(summaries: Sequence[TreeSummary]) -> str:
    """Two tables for each drafter: expected tokens by tree and P, and what best-first gains."""
    return "\n\n".join(_section(summary) for summary in summaries)


def drafter_label(summary: TreeSummary) -> str:
    """The drafter's name, with its exit where it has one."""
    return summary.drafter if summary.layers is None else f"{summary.drafter}, {summary.layers} layers"


def _section(summary: TreeSummary) -> str:
    budgets = summary.node_budgets
    heads = " | ".join(f"P = {budget}" for budget in budgets)
    lines = [
        f"**{drafter_label(summary)}** ({summary.contexts} contexts of {summary.prompts} texts; under the "
        f"drafter's own law best-first below another tree at {summary.own_violations} of "
        f"{summary.own_comparisons} comparisons)",
        "",
        f"| tokens per call, target's (own) law | {heads} | nodes, depth, calls at P = {budgets[-1]} |",
        "|---|" + "---|" * (len(budgets) + 1),
    ]
    for tree in TREES:
        cells = [summary.cell(tree, budget) for budget in budgets]
        values = [f"{cell.target_tokens.value:.3f} ({cell.own_tokens.value:.3f})" for cell in cells]
        cost = f"{cells[-1].mean_nodes:.1f}, {cells[-1].mean_depth:.1f}, {cells[-1].mean_calls:.1f}"
        lines.append(f"| {tree} | " + " | ".join(values) + f" | {cost} |")
    lines += [
        "",
        f"| best-first minus ..., target's law | {heads} |",
        "|---|" + "---|" * len(budgets),
    ]
    for tree in TREES:
        if tree != BEST_FIRST:
            cells = [summary.cell(tree, budget) for budget in budgets]
            lines.append(f"| {tree} | " + " | ".join(_gain(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _gain(cell: TreeCell) -> str:
    gain = cell.best_first_gain
    assert gain is not None, "best-first is not compared with itself"
    if gain.low is None or gain.high is None:
        return f"{gain.value:+.3f}"
    shown = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    return f"**{shown}**" if gain.low > 0.0 or gain.high < 0.0 else shown


def draw(summaries: Sequence[TreeSummary], path: Path) -> Path:
    """Tokens per call over P, one panel for each drafter; best-first's under its own law dashed.

    Writes and returns `path`.
    """
    with canvas():
        figure = Figure(figsize=(3.4 * len(summaries) + 1.0, 3.6), layout="constrained")
        panels = figure.subplots(1, len(summaries), squeeze=False)
        for summary, axes in zip(summaries, panels[0], strict=True):
            budgets = summary.node_budgets
            for tree in TREES:
                colour, marker = DRAWN[tree]
                values = [summary.cell(tree, budget).target_tokens.value for budget in budgets]
                axes.plot(budgets, values, marker=marker, markersize=4, color=colour, label=tree)
            own = [summary.cell(BEST_FIRST, budget).own_tokens.value for budget in budgets]
            axes.plot(budgets, own, "--", color=DRAWN[BEST_FIRST][0], label="best_first, own law")
            axes.set_xscale("log", base=2)
            axes.set_xticks(budgets, [str(budget) for budget in budgets])
            axes.set_title(drafter_label(summary))
            axes.set_xlabel("node budget P")
        panels[0, 0].set_ylabel("expected tokens per call")
        panels[0, 0].legend(fontsize=7, frameon=False)
        return write_figure(figure, path)
