"""The limits test as Markdown tables and as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from speclight.experiments.limits.claims import SplitClaim
from speclight.experiments.limits.run import LimitsTest
from speclight.measure.estimates import Estimate
from speclight.report.canvas import canvas, dash_pattern, write_figure
from speclight.report.curve_style import COLOURS, statement_style
from speclight.report.markdown import markdown_table


def markdown(result: LimitsTest) -> str:
    """How much was measured; the parts of the error, pooled and by cell; prompts; decodes; all statements."""
    return "\n\n".join(
        [_sizes(result), _parts(result.pooled), _parts(result.cells), _coverage(result)]
        + ([_decodes(result)] if result.decodes else [])
        + [_methods(result)]
    )


def draw(result: LimitsTest, path: Path) -> Path:
    """Every statement over the best E[X] by P, mean over the cells. Writes and returns `path`."""
    budgets = _budgets(result)
    with canvas():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        for method in dict.fromkeys(item.method for item in result.methods):
            style = statement_style(method)
            means = [_mean(result, method, budget) for budget in budgets]
            axes.plot(
                [budget for budget, mean in zip(budgets, means, strict=True) if mean is not None],
                [mean for mean in means if mean is not None],
                linestyle=dash_pattern(style.dashes),
                color=COLOURS[style.variable].light,
                marker=style.marker or None,
                markersize=4,
                label=method,
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
    heads = ["family, T", "text tokens", "contexts", "prompts (first turns)", "texts decoded"]
    rows = [
        [
            f"{size.family}, {size.temperature}",
            *map(str, (size.text_tokens, size.contexts, size.prompts, size.decoded_texts)),
        ]
        for size in result.sizes
    ]
    return markdown_table(heads, rows)


def _parts(claims: tuple[SplitClaim, ...]) -> str:
    heads = ["family, T", "P", "best E[X]", "estimator's error", "Jensen's gap", "seen trees reach", "cut"]
    rows = [
        [
            claim.family if claim.temperature is None else f"{claim.family}, {claim.temperature}",
            str(claim.node_budget),
            f"{claim.best:.2f}",
            _percent(claim.estimator),
            _percent(claim.jensen),
            _percent(claim.seen, sign=""),
            f"{100 * claim.lowered:.0f}%",
        ]
        for claim in claims
    ]
    return markdown_table(heads, rows)


def _coverage(result: LimitsTest) -> str:
    heads = ["P", "halvings", "covered by the 95% interval"]
    rows = [
        [str(item.node_budget), str(item.splits), f"{100 * item.covered:.1f}%"] for item in result.coverage
    ]
    return markdown_table(heads, rows)


def _decodes(result: LimitsTest) -> str:
    heads = ["family, T", "P", "texts", "oracle decode", "decode bound over it", "trace walk over it"]
    heads += ["bound over walk"]
    rows = [
        [
            f"{claim.family}, {claim.temperature}",
            str(claim.node_budget),
            str(claim.texts),
            f"{claim.oracle:.2f}",
            _ratio(claim.bound),
            _ratio(claim.walk),
            f"{claim.bound_over_walk:.3f}",
        ]
        for claim in result.decodes
    ]
    return markdown_table(heads, rows)


def _methods(result: LimitsTest) -> str:
    budgets = _budgets(result)
    rows = [
        [
            method,
            *(
                "" if mean is None else f"{mean:.2f}"
                for mean in (_mean(result, method, budget) for budget in budgets)
            ),
        ]
        for method in dict.fromkeys(item.method for item in result.methods)
    ]
    return markdown_table(["predicted / oracle", *(f"P = {budget}" for budget in budgets)], rows)


def _percent(estimate: Estimate, sign: str = "+") -> str:
    error = "" if estimate.standard_error is None else f" ± {100 * estimate.standard_error:.1f}%"
    return f"{100 * estimate.value:{sign}.1f}%{error}"


def _ratio(estimate: Estimate) -> str:
    error = "" if estimate.standard_error is None else f" ± {estimate.standard_error:.3f}"
    return f"{estimate.value:.3f}{error}"


def _budgets(result: LimitsTest) -> list[int]:
    return sorted({item.node_budget for item in result.methods})


def _mean(result: LimitsTest, method: str, budget: int) -> float | None:
    own = [item.ratio for item in result.methods if (item.method, item.node_budget) == (method, budget)]
    return float(np.mean(own)) if own else None
