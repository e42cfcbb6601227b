"""Drafter and oracle at the same starts: those of the drafter's own calls, and those of the trace."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.advice.growth_values import growth_values
from speclight.advice.ordered_trees import ordered_trees
from speclight.drafting.tree_choices import BestFirst
from speclight.experiments.demo.record import ALL_FAMILIES, CallStartLimit
from speclight.measure.decoded_run.call_starts import SearchedPrompt
from speclight.measure.estimates import mean_over, ratio_of_totals, within
from speclight.measure.trace.record import Trace


def call_start_limit(family: str, searched: Sequence[SearchedPrompt], node_budget: int) -> CallStartLimit:
    """Drafter and oracle over the call starts of one family, or of ALL_FAMILIES."""
    chosen = [item for item in searched if family in (ALL_FAMILIES, item.decoded.prompt.family)]
    names = [item.decoded.prompt.prompt_id for item in chosen for _ in item.limits]
    best = [limit for item in chosen for limit in item.limits]
    expected = [call.expected_tokens for item in chosen for call in item.decoded.generation.calls]
    return _limit(family, names, expected, best, node_budget)


def uniform_start_limit(family: str, trace: Trace, drafter: str, node_budget: int) -> CallStartLimit:
    """Best-first trees of drafter and target at the trace's starts of one family, or of ALL_FAMILIES.

    node_budget: one of the trace's.
    """
    starts = trace.starts if family == ALL_FAMILIES else trace.of_family(family)
    trees = ordered_trees(starts, drafter)
    expected = growth_values(trees, BestFirst(), (node_budget,), node_budget).expected_tokens[:, 0]
    best = [start.best_tokens(node_budget) for start in starts]
    return _limit(family, [start.prompt_id for start in starts], expected.tolist(), best, node_budget)


def _limit(
    family: str, names: Sequence[str], expected: Sequence[float], best: Sequence[float], node_budget: int
) -> CallStartLimit:
    """Means over the starts. names: the prompt of each."""
    most = float(node_budget)
    return CallStartLimit(
        family=family,
        starts=len(names),
        expected_tokens_per_call=within(mean_over(names, expected), 1.0, most),
        limit_tokens_per_call=within(mean_over(names, best), 1.0, most),
        share_of_limit=within(ratio_of_totals(names, expected, best), 0.0, 1.0),
    )
