"""Scores beside decodes: a Markdown table, a row per configuration."""

from __future__ import annotations

from speclight.experiments.scores.run import ScoreTest
from speclight.measure.estimates import Estimate
from speclight.report.markdown import markdown_table


def score_test_markdown(found: ScoreTest) -> str:
    """The table, and how many predictions lie outside of their interval."""
    told = ["predicted", "measured", "measured - predicted", "calls", "inside"]
    heads = ["drafter", "tree", "rule", "P", *told]
    rows = [
        [
            each.configuration.drafter,
            each.configuration.growth + (f" and {len(each.alike)} alike" if each.alike else ""),
            each.configuration.rule,
            str(each.configuration.node_budget),
            _told(each.predicted),
            _told(each.measured),
            _told(each.difference, "+"),
            str(each.calls),
            "yes" if each.is_inside else "**no**",
        ]
        for each in found.decodes
    ]
    return (
        f"**{found.target}, T = {found.temperature:g}**: tokens per call, ± one standard error by prompt; "
        f"{found.outside} of {len(rows)} predictions outside of their {found.level:.0%} interval, "
        f"{(1 - found.level) * len(rows):.1f} expected. "
        f"{found.distinct} of the {len(rows)} decodes differ from one another; growths alike draft the same "
        f"trees at all starts of the trace.\n\n{markdown_table(heads, rows)}"
    )


def _told(estimate: Estimate, sign: str = "") -> str:
    error = estimate.standard_error
    return f"{estimate.value:{sign}.2f}" if error is None else f"{estimate.value:{sign}.2f} ± {error:.2f}"
