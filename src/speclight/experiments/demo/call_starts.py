"""Drafter and oracle at the same starts: those of the drafter's own calls."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.experiments.demo.record import ALL_FAMILIES, CallStartLimit
from speclight.measure.decoded_run.call_starts import SearchedPrompt
from speclight.measure.estimates import mean_over, ratio_of_totals, within


def call_start_limit(family: str, searched: Sequence[SearchedPrompt], node_budget: int) -> CallStartLimit:
    """Drafter and oracle over the starts of one family, or of ALL_FAMILIES."""
    chosen = [item for item in searched if family in (ALL_FAMILIES, item.decoded.prompt.family)]
    names = [item.decoded.prompt.prompt_id for item in chosen for _ in item.limits]
    best = [limit for item in chosen for limit in item.limits]
    expected = [call.expected_tokens for item in chosen for call in item.decoded.generation.calls]
    most = float(node_budget)
    return CallStartLimit(
        family=family,
        starts=len(names),
        expected_tokens_per_call=within(mean_over(names, expected), 1.0, most),
        limit_tokens_per_call=within(mean_over(names, best), 1.0, most),
        share_of_limit=within(ratio_of_totals(names, expected, best), 0.0, 1.0),
    )
