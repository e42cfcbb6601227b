"""`speclight experiment published-limits`: the paper's Table 1 under every form of its theorem."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, check_budgets
from speclight.cli.output import command_output


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLimitsOptions:
    """Options of `speclight experiment published-limits`."""

    node_budgets: tuple[int, ...] = (
        8,
        60,
        1024,
    )
    """Node budgets P."""
    json: JsonFlag = False


def published_limits(options: PublishedLimitsOptions = PublishedLimitsOptions()) -> None:
    """Make the table of arXiv 2512.11718v1's published moments: its Theorem 1 and the forms that sharpen it.

    Nothing is measured: mu and mu2 are those of the paper's Table 1, whose contexts are taken as independent.

        speclight experiment published-limits
    """
    from speclight.experiments.limits.published import TABLE_1, published_values
    from speclight.report.published import published_markdown

    budgets = options.node_budgets
    check_budgets(budgets)
    with command_output(options.json) as output:
        if options.json:
            output.write_json(
                {
                    "rows": [
                        {
                            "target": row.target,
                            "data": row.data,
                            "mu": row.mu,
                            "mu2": row.mu2,
                            "limits": [
                                {"node_budget": budget, **published_values(row, budget)} for budget in budgets
                            ],
                        }
                        for row in TABLE_1
                    ]
                }
            )
        else:
            output.show(published_markdown(TABLE_1, budgets))
