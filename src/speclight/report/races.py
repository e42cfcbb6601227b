"""The race experiment as Markdown tables and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from speclight.experiments.races.comparison import RaceExperiment
from speclight.experiments.races.invariance import Invariance
from speclight.experiments.races.run import ANY_RULE, DRAFTED, RaceComparison, RankAccounting
from speclight.experiments.races.tree_comparison import TreeComparison
from speclight.measure.estimates import Estimate
from speclight.report.canvas import canvas, write_figure
from speclight.report.markdown import markdown_table
from speclight.report.palette import BLACK, BLUE, DARK_PINK, GREEN, GREY, PINK, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# (rule, strategy) in the order of the table; "simple" is one drafted token, where all strategies agree.
LINES: tuple[tuple[str, str], ...] = (
    ("rejection", "sequence"),
    ("block", "sequence"),
    ("race", "sequence"),
    (ANY_RULE, "sequence"),
    ("rejection", "batch"),
    ("k_seq", "batch"),
    ("gls", "batch"),
    ("race_with_replacement", "batch"),
    ("rejection_without_replacement", "batch"),
    ("race", "batch"),
    ("race, where transport is known", "batch"),
    ("transport, independent", "batch"),
    ("transport, distinct", "batch"),
    ("rejection", "tree"),
    ("k_seq", "tree"),
    ("gls", "tree"),
    ("race_with_replacement", "tree"),
    ("rejection_without_replacement", "tree"),
    ("race", "tree"),
)
# (rule, strategy, drafted) that the race is held against in the first table.
DIFFERENCES: tuple[tuple[str, str, int], ...] = (
    ("rejection", "batch", 1),
    ("rejection", "sequence", 8),
    ("block", "sequence", 8),
    ("rejection", "batch", 8),
    ("rejection_without_replacement", "batch", 8),
    ("rejection_without_replacement", "batch", 32),
    ("race_with_replacement", "batch", 8),
    ("gls", "batch", 8),
    ("rejection", "tree", 32),
    ("rejection_without_replacement", "tree", 8),
    ("rejection_without_replacement", "tree", 32),
    ("gls", "tree", 32),
)
COLUMNS = 2
TEXTS = "Every text answers the first turn of a prompt, also where it has several."


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the figure."""

    rule: str
    strategy: str
    colour: str
    dashes: str


# Wong's palette: told apart by readers with any colour vision; colours tell rules apart, dashes strategies.
# Batches are drawn where nothing deeper is known.
DRAWN: tuple[_Line, ...] = (
    _Line("rejection", "sequence", GREY, ":"),
    _Line("block", "sequence", BLACK, ":"),
    _Line("race", "sequence", BLUE, ":"),
    _Line("rejection", "tree", GREY, "-"),
    _Line("gls", "tree", GREEN, "-"),
    _Line("rejection_without_replacement", "tree", VERMILION, "-"),
    _Line("race", "tree", BLUE, "-"),
    _Line("rejection", "batch", GREY, "-."),
    _Line("gls", "batch", GREEN, "-."),
    _Line("rejection_without_replacement", "batch", VERMILION, "-."),
    _Line("race", "batch", BLUE, "-."),
)


def markdown(experiment: RaceExperiment) -> str:
    """A table for each drafter and temperature: tokens per call and half the 95% interval, by rule and k.

    Before them what the texts are, and the differences between the race and other rules; after them one for
    each drafter whose trees were really drafted, and one of drafter invariance.
    """
    comparison = experiment.comparison
    tables = [TEXTS, _difference_table(comparison)]
    tables += [_table(comparison, group) for group in comparison.accounting]
    groups = dict.fromkeys((row.drafter, row.temperature) for row in experiment.trees)
    tables += [
        _tree_table([row for row in experiment.trees if (row.drafter, row.temperature) == group])
        for group in groups
    ]
    if experiment.invariance:
        tables.append(_invariance_table(experiment.invariance))
    return "\n\n".join(tables)


def _difference_table(comparison: RaceComparison) -> str:
    """Race minus other rules, a column for each drafter and temperature; bold: the interval is off 0."""
    groups = comparison.accounting
    lines: list[list[str]] = []
    for rule, strategy, drafted in DIFFERENCES:
        cells = [f"{rule}, {strategy} of {drafted}"]
        for group in groups:
            if comparison.has_rows(group.drafter, group.temperature, strategy):
                row = comparison.row(group.drafter, group.temperature, rule, strategy, drafted)
                cells.append(_interval(row.race_minus))
            else:
                cells.append("")
        lines.append(cells)
    heads = ["race minus ...", *(f"{group.drafter} {group.temperature}" for group in groups)]
    return markdown_table(heads, lines)


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "" if estimate is None else f"{estimate.value:+.3f}"
    mark = "**" if estimate.low > 0.0 or estimate.high < 0.0 else ""
    return f"{mark}{estimate.value:+.3f}{mark} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _tree_table(rows: list[TreeComparison]) -> str:
    first, counts = rows[0], sorted({row.drafted for row in rows})
    title = (
        f"**{first.drafter}, temperature {first.temperature}, trees really drafted** ({first.contexts} "
        f"contexts, {first.seeds} drafts at each; standard error by the noise of the drafts at most "
        f"{max(row.monte_carlo_error for row in rows):.3f})"
    )
    variants: dict[tuple[str, str], list[TreeComparison]] = {}
    for row in rows:
        variants.setdefault((row.rule, row.tree), []).append(row)
    lines = [
        [rule, tree, *(_cell(row.tokens_per_call) for row in of_variant)]
        for (rule, tree), of_variant in variants.items()
    ]
    lines += [
        [f"{rule}, minus race on the rank tree", tree, *(_interval(row.minus_race) for row in of_variant)]
        for (rule, tree), of_variant in variants.items()
        if all(row.minus_race is not None for row in of_variant)
    ]
    traversal = [row.minus_rejection for row in rows if row.minus_rejection is not None]
    lines.append(["traversal, minus rejection of the same drafts", "rank", *map(_interval, traversal)])
    return f"{title}\n\n{markdown_table(['rule', 'tree', *(f'k = {k}' for k in counts)], lines)}"


def _invariance_table(rows: Sequence[Invariance]) -> str:
    heads = ["drafter", "P", "texts", "tokens", "identical", "differ at a near tie", "other"]
    heads += ["tokens per call", "bound", "H[R], nats", "R known"]
    lines = [
        [
            row.drafter,
            *map(str, (row.node_budget, row.texts, row.tokens, row.identical, row.near_ties, row.other)),
            f"{row.tokens_per_call:.2f}",
            _number(row.bound),
            _number(row.rank_entropy),
            str(row.observed),
        ]
        for row in rows
    ]
    return markdown_table(heads, lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(comparison: RaceComparison, group: RankAccounting) -> str:
    drafter, temperature = group.drafter, group.temperature
    title = (
        f"**{drafter}, temperature {temperature}** ({group.contexts} contexts; mean TV "
        f"{group.total_variation:.3f}, D_KL {_divergence(group)}, P(R = 1) {group.match:.3f}, H[R] >= "
        f"{group.pooled_entropy:.2f}, H(R | context) >= {group.conditional_entropy:.2f} nats, P(R > 32) "
        f"{group.beyond:.3f})"
    )
    lines = [
        [
            rule,
            strategy,
            *(
                _cell(comparison.row(drafter, temperature, rule, strategy, k).tokens_per_call)
                for k in DRAFTED
            ),
        ]
        for rule, strategy in LINES
        if comparison.has_rows(drafter, temperature, strategy)
    ]
    for name, values in (("H[R] pooled", group.bound_pooled), ("H(R | context)", group.bound_conditional)):
        lines.append([f"bound, {name}", "any static", *(f"{value:.2f}" for value in values)])
    if comparison.has_rows(drafter, temperature, "tree"):
        for name, values in (("independent", group.independent), ("along the texts", group.along_texts)):
            fitted = f"race, fitted to these texts, ranks {name}"
            lines.append([fitted, "tree", *(f"{value:.3f}" for value in values)])
    return f"{title}\n\n{markdown_table(['rule', 'strategy', *(f'k = {k}' for k in DRAFTED)], lines)}"


def _divergence(group: RankAccounting) -> str:
    if group.missing == 0.0:
        return f"{group.divergence:.2f}"
    return f"infinite (mean mass outside the drafter's vocabulary {group.missing:.3f})"


def _cell(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ± {(estimate.high - estimate.low) / 2.0:.2f}"


def draw(comparison: RaceComparison, path: Path) -> Path:
    """Write the figure of `comparison_figure` and return `path`."""
    with canvas():
        return write_figure(comparison_figure(comparison), path)


def comparison_figure(comparison: RaceComparison) -> Figure:
    """Tokens per call versus k, one panel for each drafter and temperature, the bound dashed.

    The rules' curves set the scale, one for each row of panels; the bound, several times as high, leaves
    through the top, and its last value is written there. The 95% intervals are over texts, so nearly the same
    for all rules of a panel; they are drawn for the last race alone.
    """
    groups = comparison.accounting
    rows = (len(groups) + COLUMNS - 1) // COLUMNS
    figure = Figure(figsize=(9.6, 3.2 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey="row").ravel()
    handles: dict[str, Line2D] = {}
    filled = list(zip(groups, panels[: len(groups)], strict=True))
    for group, axes in filled:
        handles |= {str(line.get_label()): line for line in _rule_lines(axes, comparison, group)}
        _label_axes(axes, group)
    for group, axes in filled:  # once the rules of a whole row have set its scale
        bound = _bound_line(axes, group)
        handles[str(bound.get_label())] = bound
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3)
    return figure


def _rule_lines(axes: Axes, comparison: RaceComparison, group: RankAccounting) -> list[Line2D]:
    def estimates(rule: str, strategy: str) -> list[Estimate]:
        return [
            comparison.row(group.drafter, group.temperature, rule, strategy, k).tokens_per_call
            for k in DRAFTED
        ]

    deep = comparison.has_rows(group.drafter, group.temperature, "tree")
    lines = [line for line in DRAWN if (line.strategy != "batch") == deep]
    drawn: list[Line2D] = []
    for line in lines:
        values = [estimate.value for estimate in estimates(line.rule, line.strategy)]
        label = f"{line.rule}, {line.strategy}"
        drawn += axes.plot(DRAFTED, values, line.dashes, color=line.colour, label=label)
    last = estimates(lines[-1].rule, lines[-1].strategy)
    axes.fill_between(
        DRAFTED,
        [estimate.value if estimate.low is None else estimate.low for estimate in last],
        [estimate.value if estimate.high is None else estimate.high for estimate in last],
        color=lines[-1].colour,
        alpha=0.12,
    )
    return drawn


def _bound_line(axes: Axes, group: RankAccounting) -> Line2D:
    """The bound, drawn last: it must not move the scale that the rules set."""
    rules = axes.get_ylim()
    (line,) = axes.plot(DRAFTED, group.bound_conditional, "--", color=PINK, label="bound, H(R | context)")
    axes.set_ylim(rules)
    if group.bound_conditional[-1] > rules[1]:
        note = f"bound: {group.bound_conditional[-1]:.1f} at k = {DRAFTED[-1]}"
        axes.annotate(note, (0.25, 0.98), xycoords="axes fraction", va="top", color=DARK_PINK)
    return line


def _label_axes(axes: Axes, group: RankAccounting) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(DRAFTED, [str(k) for k in DRAFTED])
    axes.set_title(f"{group.drafter}, temperature {group.temperature}", parse_math=False)
    axes.set_ylabel("tokens per call")
    axes.set_xlabel("drafted tokens k")
