"""The limits test as Markdown tables and as a figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from speclight.experiments.limits.cells import Comparison, PooledError, pooled_errors
from speclight.experiments.limits.run import POOLED_FROM, LimitsTest
from speclight.report.canvas import canvas, dash_pattern, write_figure
from speclight.report.curve_style import COLOURS, statement_style
from speclight.report.markdown import markdown_table
from speclight.theory.catalogue import BY_NAME

# Methods shown cell by cell besides their mean over the cells.
BY_CELL = ("ergodic_renewal_stratified", "trace_walk")


def markdown(result: LimitsTest) -> str:
    """How much was measured; every method's mean over the cells by P; the chosen methods cell by cell."""
    return "\n\n".join([_sizes(result), _means(result), *(_cells(result, name) for name in BY_CELL)])


def draw(result: LimitsTest, path: Path) -> Path:
    """Predicted over measured tokens per call by P, mean over the cells with two standard errors.

    Writes and returns `path`.
    """
    budgets = _budgets(result)
    with canvas():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        methods = dict.fromkeys(comparison.method for comparison in result.comparisons)
        for method in (name for name in methods if name in BY_NAME):
            style = statement_style(method)
            means = [mean for budget in budgets if (mean := _mean(result, method, budget))]
            axes.errorbar(
                [mean.node_budgets[0] for mean in means],
                [1.0 + mean.signed_error for mean in means],
                [2.0 * mean.standard_error for mean in means],
                linestyle=dash_pattern(style.dashes),
                color=COLOURS[style.variable].light,
                marker=style.marker or None,
                markersize=4,
                label=method,
                capsize=2,
            )
        axes.axhline(1.0, color="black", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        ticks = (0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("node budget P")
        axes.set_ylabel("predicted / oracle")
        figure.legend(loc="outside lower center", ncols=4, fontsize=7)
        return write_figure(figure, path)


def _sizes(result: LimitsTest) -> str:
    heads = ["family, T", "trace tokens", "trace prompts", "oracle contexts", "decoded calls"]
    rows = [
        [
            f"{size.family}, {size.temperature}",
            *map(str, (size.tokens, size.prompts, size.oracle_contexts, size.oracle_calls)),
        ]
        for size in result.sizes
    ]
    return markdown_table(heads, rows)


def _means(result: LimitsTest) -> str:
    budgets = _budgets(result)
    totals = {total.method: total for total in result.pooled}
    rows: list[list[str]] = []
    for method in dict.fromkeys(c.method for c in result.comparisons):
        means = [_mean(result, method, budget) for budget in budgets]
        cells = [
            "" if mean is None else f"{1.0 + mean.signed_error:.2f} ± {mean.standard_error:.2f}"
            for mean in means
        ]
        rows.append([method, *cells, *_pooled(totals.get(method))])
    heads = ["method", *_columns(budgets), f"pooled error, P >= {POOLED_FROM}", "within 2 SE"]
    return markdown_table(heads, rows)


def _pooled(total: PooledError | None) -> list[str]:
    if total is None:
        return ["", ""]
    return [
        f"{100.0 * total.signed_error:+.1f}% ± {100.0 * total.standard_error:.1f}%",
        f"{total.within_two_errors} of {total.comparisons}",
    ]


def _cells(result: LimitsTest, method: str) -> str:
    budgets = _budgets(result)
    of_cell = {(c.family, c.temperature, c.node_budget): c for c in result.comparisons if c.method == method}
    rows = [
        [
            f"{family}, {temperature}",
            *(_ratio(of_cell.get((family, temperature, budget))) for budget in budgets),
        ]
        for family, temperature in dict.fromkeys((c.family, c.temperature) for c in result.comparisons)
    ]
    return markdown_table([f"{method} / oracle", *_columns(budgets)], rows)


def _ratio(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    return (
        f"{comparison.value:.2f} / {comparison.truth:.2f} = {comparison.ratio:.2f} ± "
        f"{comparison.ratio_error:.2f}"
    )


def _budgets(result: LimitsTest) -> list[int]:
    return sorted({c.node_budget for c in result.comparisons})


def _columns(budgets: list[int]) -> list[str]:
    return [f"P = {budget}" for budget in budgets]


def _mean(result: LimitsTest, method: str, budget: int) -> PooledError | None:
    own = [c for c in result.comparisons if c.method == method]
    return next(iter(pooled_errors(own, (budget,))), None)
