"""The target's best trees at the starts of a decode's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.decoded_run.decoding import DecodedPrompt
from speclight.measure.true_limit import RootedText, in_step, oracle_contexts_of_texts
from speclight.models.causal_lm import CausalLM
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent


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
    progress: Progress = silent,
    readings: Readings | None = None,
) -> list[SearchedPrompt]:
    """Search the best tree of node_budget nodes at the start of every call.

    sampling: of the decoding. readings: read the prompts, and may have read some before.
    """
    texts = [
        RootedText(
            [*item.prompt_ids, *item.generation.token_ids],
            [call.start - 1 for call in item.generation.calls],
            len(item.prompt_ids),
        )
        for item in decoded
    ]
    searched: list[SearchedPrompt] = []
    for group in in_step([(len(text.roots), len(text.token_ids)) for text in texts]):
        own = slice(group.start, group.stop)
        found = oracle_contexts_of_texts(model, texts[own], node_budget, sampling, readings)
        for item, contexts in zip(decoded[own], found, strict=True):
            searched.append(SearchedPrompt(item, tuple(context.path_log_probs for context in contexts)))
        progress(group.stop, len(decoded), "oracle at the drafter's own call starts")
    return searched
