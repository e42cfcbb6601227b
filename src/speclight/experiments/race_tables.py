"""The race comparison as Markdown tables and as a figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from speclight.experiments.race_vs_rejection import DRAFTED, RaceComparison, RankAccounting
from speclight.measure.record import Estimate

# (rule, strategy) in the order of the table; "simple" is one drafted token, where all strategies agree.
LINES: tuple[tuple[str, str], ...] = (
    ("rejection", "sequence"),
    ("block", "sequence"),
    ("race", "sequence"),
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
# Wong's palette: told apart by readers with any colour vision; dashes tell strategies apart besides.
DRAWN: tuple[tuple[str, str, str, str], ...] = (
    ("rejection", "sequence", "#999999", ":"),
    ("block", "sequence", "#000000", ":"),
    ("race", "sequence", "#0072B2", ":"),
    ("rejection", "tree", "#999999", "-"),
    ("gls", "tree", "#009E73", "-"),
    ("rejection_without_replacement", "tree", "#D55E00", "-"),
    ("race", "tree", "#0072B2", "-"),
)


def markdown(comparison: RaceComparison) -> str:
    """A table for each drafter and temperature: tokens per call and half the 95% interval, by rule and k."""
    return "\n\n".join(_table(comparison, group) for group in comparison.accounting)


def _table(comparison: RaceComparison, group: RankAccounting) -> str:
    drafter, temperature = group.drafter, group.temperature
    lines = [
        f"**{drafter}, temperature {temperature}** ({group.contexts} contexts; mean TV "
        f"{group.total_variation:.3f}, D_KL {group.divergence:.2f}, P(R = 1) {group.match:.3f}, H[R] >= "
        f"{group.pooled_entropy:.2f}, H(R | context) >= {group.conditional_entropy:.2f} nats, P(R > 32) "
        f"{group.beyond:.3f})",
        "",
        "| rule | strategy | " + " | ".join(f"k = {k}" for k in DRAFTED) + " |",
        "|---|---|" + "---|" * len(DRAFTED),
    ]
    for rule, strategy in LINES:
        cells = [
            _cell(comparison.row(drafter, temperature, rule, strategy, k).tokens_per_call) for k in DRAFTED
        ]
        lines.append(f"| {rule} | {strategy} | " + " | ".join(cells) + " |")
    for name, values in (
        ("bound, H[R] pooled", group.bound_pooled),
        ("bound, H(R \\| context)", group.bound_conditional),
    ):
        lines.append(f"| {name} | any static | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return "\n".join(lines)


def _cell(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ± {(estimate.high - estimate.low) / 2.0:.2f}"


def draw(comparison: RaceComparison, path: Path) -> Path:
    """Tokens per call versus k, one panel for each drafter and temperature, the bound dashed above.

    The 95% intervals are over texts, so nearly the same for all rules of a panel; they are drawn for the race
    tree alone. Writes and returns `path`.
    """
    # A canvas of its own, so that the caller's backend and style are left alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        groups = comparison.accounting
        figure = Figure(figsize=(4.6 * len(groups) / 2.0 + 1.5, 7.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, (len(groups) + 1) // 2, squeeze=False, sharex=True)
        for group, axes in zip(groups, panels.ravel(), strict=False):
            for rule, strategy, colour, dashes in DRAWN:
                rows = [comparison.row(group.drafter, group.temperature, rule, strategy, k) for k in DRAFTED]
                values = [row.tokens_per_call.value for row in rows]
                axes.plot(DRAFTED, values, dashes, color=colour, label=f"{rule}, {strategy}")
            axes.plot(DRAFTED, group.bound_conditional, "--", color="#CC79A7", label="bound, H(R | context)")
            drawn_last = [
                comparison.row(group.drafter, group.temperature, *DRAWN[-1][:2], k) for k in DRAFTED
            ]
            estimates = [row.tokens_per_call for row in drawn_last]
            axes.fill_between(
                DRAFTED,
                [estimate.value if estimate.low is None else estimate.low for estimate in estimates],
                [estimate.value if estimate.high is None else estimate.high for estimate in estimates],
                color=DRAWN[-1][2],
                alpha=0.12,
            )
            axes.set_xscale("log", base=2)
            axes.set_xticks(DRAFTED, [str(k) for k in DRAFTED])
            axes.set_title(f"{group.drafter}, temperature {group.temperature}")
            axes.set_ylabel("tokens per call")
            axes.set_xlabel("drafted tokens k")
        panels[0, 0].legend(fontsize=7, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    return path
