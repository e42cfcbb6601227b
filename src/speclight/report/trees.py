"""The comparison of trees as Markdown tables and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from speclight.experiments.trees.run import BEST_FIRST, TREES
from speclight.experiments.trees.summary import TreeCell, TreeSummary
from speclight.report.canvas import canvas, write_figure
from speclight.report.markdown import markdown_table
from speclight.report.palette import BLACK, BLUE, GREEN, GREY, VERMILION

DRAWN: dict[str, tuple[str, str]] = {
    "best_first": (BLUE, "o"),
    "eagle2": (VERMILION, "s"),
    "static": (GREEN, "^"),
    "chain": (BLACK, "v"),
    "batch": (GREY, "D"),
}


def markdown(summaries: Sequence[TreeSummary]) -> str:
    """Two tables for each drafter: expected tokens by tree and P, and what best-first gains."""
    return "\n\n".join(_section(summary) for summary in summaries)


def drafter_label(summary: TreeSummary) -> str:
    """The drafter's name, with its exit where it has one."""
    return summary.drafter if summary.layers is None else f"{summary.drafter}, {summary.layers} layers"


def _section(summary: TreeSummary) -> str:
    budgets = summary.node_budgets
    columns = [f"P = {budget}" for budget in budgets]
    title = (
        f"**{drafter_label(summary)}** ({summary.contexts} contexts of {summary.prompts} texts; under the "
        f"drafter's own law best-first below another tree at {summary.own_violations} of "
        f"{summary.own_comparisons} comparisons)"
    )
    tokens = markdown_table(
        ["tokens per call, target's (own) law", *columns, f"nodes, depth, calls at P = {budgets[-1]}"],
        [[tree, *_tokens([summary.cell(tree, budget) for budget in budgets])] for tree in TREES],
    )
    gains = markdown_table(
        ["best-first minus ..., target's law", *columns],
        [
            [tree, *(_gain(summary.cell(tree, budget)) for budget in budgets)]
            for tree in TREES
            if tree != BEST_FIRST
        ],
    )
    return f"{title}\n\n{tokens}\n\n{gains}"


def _tokens(cells: Sequence[TreeCell]) -> list[str]:
    """Tokens per call at each node budget, and at the last what the tree costs."""
    values = [f"{cell.target_tokens.value:.3f} ({cell.own_tokens.value:.3f})" for cell in cells]
    last = cells[-1]
    return [*values, f"{last.mean_nodes:.1f}, {last.mean_depth:.1f}, {last.mean_calls:.1f}"]


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
