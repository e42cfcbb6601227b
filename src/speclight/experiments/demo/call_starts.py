"""Drafter and oracle at the same starts: those of the drafter's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.experiments.demo.decoding import DecodedPrompt
from speclight.experiments.demo.record import ALL_FAMILIES, CallStartLimit
from speclight.measure.estimates import mean_over, ratio_of_totals, within
from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress


@dataclass(frozen=True, slots=True, eq=False)
class SearchedPrompt:
    """A decoded prompt and, at the start of each of its calls, the best tree's expected tokens [calls]."""

    decoded: DecodedPrompt
    limits: tuple[float, ...]


def search_call_starts(
    model: CausalLM,
    decoded: Sequence[DecodedPrompt],
    node_budget: int,
    sampling: SamplingSettings,
    progress: Progress,
) -> list[SearchedPrompt]:
    """Search the best tree of node_budget nodes at the start of every call. sampling: of the decoding."""
    searched: list[SearchedPrompt] = []
    for number, item in enumerate(decoded):
        token_ids = [*item.prompt_ids, *item.generation.token_ids]
        starts = [call.start - 1 for call in item.generation.calls]
        contexts = oracle_contexts(model, token_ids, starts, node_budget, sampling)
        limits = tuple(context.tokens_per_call(node_budget) for context in contexts)
        searched.append(SearchedPrompt(item, limits))
        progress(number + 1, len(decoded), "oracle at the drafter's own call starts")
    return searched


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
