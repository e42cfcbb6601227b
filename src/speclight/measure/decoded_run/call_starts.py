"""The target's best trees at the starts of a decode's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.measure.decoded_run.decoding import DecodedPrompt
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
