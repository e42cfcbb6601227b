"""Plain sampling of many texts at once: one batch, one forward pass per position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.errors import ContextOverflow
from speclight.models.causal_lm import PREFILL_PIECE, CausalLM
from speclight.models.kv_cache import PathCache
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.visibility import below, causal
from speclight.seeds import stream

# (rows of the batch still running [rows], their laws [rows, vocab], the tokens drawn from them [rows])
StepObserver = Callable[[IntArray, FloatArray, IntArray], None]


@dataclass(frozen=True, slots=True, eq=False)
class SampledContinuation:
    """What was sampled after one prompt.

    token_ids: the sampled tokens, an end-of-text token included. ended: whether the last one is one.
    """

    token_ids: tuple[int, ...]
    ended: bool


def sample_continuations(
    model: CausalLM,
    prompts: Sequence[list[int]],
    max_tokens: int,
    sampling: SamplingSettings,
    seeds: Sequence[int],
    observe: StepObserver | None = None,
) -> list[SampledContinuation]:
    """Sample one continuation of each prompt from the model's processed law.

    prompts: token ids, padded on the left to one length within the batch. seeds: one per prompt; a text's
    uniforms depend on its own seed only. (Its logits still depend on the batch's shape by rounding, so
    equal bytes need equal batches and threads.) observe: called at every position with the laws sampled from.
    Raises InvalidInput or ContextOverflow for prompts that leave no room for max_tokens.
    """
    for prompt in prompts:
        model.check_text_fits(prompt)
        if len(prompt) + max_tokens > model.context_window:
            raise ContextOverflow(
                f"a prompt of {len(prompt)} tokens and {max_tokens} more do not fit "
                f"{model.window_name}; shorten the prompt or lower max_tokens"
            )
    batch = _PaddedBatch(model, prompts)
    uniforms = np.stack([stream(seed).random(max_tokens) for seed in seeds])
    texts: list[list[int]] = [[] for _ in prompts]
    running = np.arange(len(prompts))
    logits = batch.read_prompts()
    for step in range(max_tokens):
        laws = processed_probabilities(logits[torch.from_numpy(running)].cpu().numpy(), sampling)
        tokens = _draw(laws, uniforms[running, step])
        if observe is not None:
            observe(running, laws, tokens)
        for row, token in zip(running.tolist(), tokens.tolist(), strict=True):
            texts[row].append(token)
        running = running[~np.isin(tokens, list(model.end_of_text))]
        if len(running) == 0:
            break
        if step + 1 < max_tokens:
            logits = batch.read_tokens([text[-1] for text in texts])
    return [SampledContinuation(tuple(text), text[-1] in model.end_of_text) for text in texts]


def _draw(laws: FloatArray, uniforms: FloatArray) -> IntArray:
    """[rows] tokens by the inverse of the cumulated laws; zero-probability tokens own empty intervals."""
    cumulated = np.empty(laws.shape[1])
    tokens = np.empty(len(laws), dtype=np.int64)
    for row, (law, uniform) in enumerate(zip(laws, uniforms, strict=True)):
        np.cumsum(law, out=cumulated)
        tokens[row] = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
    # u * total can round up to the total; the last possible token owns that point.
    last_possible = laws.shape[1] - 1 - (laws[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(tokens, last_possible)


class _PaddedBatch:
    """The cache of a batch of texts of unequal length, padded on the left."""

    def __init__(self, model: CausalLM, prompts: Sequence[list[int]]) -> None:
        self._model = model
        self._cache: PathCache = model.new_cache()
        self._length = max(len(prompt) for prompt in prompts)
        self._padding = torch.tensor([self._length - len(prompt) for prompt in prompts])
        self._prompts = torch.tensor([[0] * (self._length - len(p)) + p for p in prompts])

    def read_prompts(self) -> torch.Tensor:
        """[batch, vocab] logits after the prompts."""
        logits = torch.empty(0)
        for start in range(0, self._length, PREFILL_PIECE):
            logits = self._read(self._prompts[:, start : start + PREFILL_PIECE])
        return logits

    def read_tokens(self, tokens: list[int]) -> torch.Tensor:
        """[batch, vocab] logits after one more token of each text."""
        return self._read(torch.tensor(tokens)[:, None])

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        filled, new = self._cache.committed, tokens.shape[1]
        visible = causal(new, filled) & ~below(self._padding, filled + new)[:, None]
        positions = (torch.arange(filled, filled + new) - self._padding[:, None]).clamp(min=0)
        logits = self._model.forward(self._cache, tokens, positions, visible, logit_rows=1).logits[:, -1]
        self._cache.keep(list(range(filled, filled + new)))
        return logits
