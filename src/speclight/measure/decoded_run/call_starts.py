"""The target's best trees at the starts of a decode's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.decoded_run.decoding import DecodedPrompt
from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress


@dataclass(frozen=True, slots=True, eq=False)
class SearchedPrompt:
    """A decoded prompt and, at the start of each of its calls, the best tree.

    best: [calls] of [nodes] log-probabilities of its paths under the target, nats.
    """

    decoded: DecodedPrompt
    best: tuple[FloatArray, ...]

    @property
    def limits(self) -> tuple[float, ...]:
        """[calls] expected tokens of the best trees."""
        return tuple(float(np.exp(path_log_probs).sum()) for path_log_probs in self.best)


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
        searched.append(SearchedPrompt(item, tuple(context.path_log_probs for context in contexts)))
        progress(number + 1, len(decoded), "oracle at the drafter's own call starts")
    return searched
