"""The paper's published moments under every form of its theorem, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.experiments.limits.published import FORMS, PublishedMoments, published_values
from speclight.report.markdown import markdown_table


def published_markdown(rows: Sequence[PublishedMoments], node_budgets: Sequence[int]) -> str:
    """One table: a row per target and data set, one column per P with the values of FORMS in order."""
    heads = ["target", "data", "mu", "mu2", *(f"P = {budget}" for budget in node_budgets)]
    cells = [
        [row.target, row.data, f"{row.mu:.3f}", f"{row.mu2:.3f}", *(_values(row, p) for p in node_budgets)]
        for row in rows
    ]
    return f"In each cell: {', '.join(FORMS)}.\n\n{markdown_table(heads, cells)}"


def _values(row: PublishedMoments, node_budget: int) -> str:
    values = published_values(row, node_budget)
    return " / ".join(f"{values[name]:.2f}" for name in FORMS)
