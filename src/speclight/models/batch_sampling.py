"""Plain sampling of many texts at once: one batch, one forward pass per position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.errors import ContextOverflow
from speclight.models.causal_lm import CausalLM
from speclight.models.kv_cache import PathCache
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.visibility import below
from speclight.seeds import stream
from speclight.trees.drawn_token import drawn_token

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
    readings: Readings | None = None,
) -> list[SampledContinuation]:
    """Sample one continuation of each prompt from the model's processed law.

    prompts: token ids, padded on the left to one length within the batch. seeds: one per prompt; a text's
    uniforms depend on its own seed only. (Its logits still depend on the batch's shape by rounding, so
    equal bytes need equal batches and threads.) observe: called at every position with the laws sampled from.
    readings: read the prompts, and may have read some before.
    Raises InvalidInput or ContextOverflow for prompts that leave no room for max_tokens.
    """
    for prompt in prompts:
        model.check_text_fits(prompt)
        if len(prompt) + max_tokens > model.context_window:
            raise ContextOverflow(
                f"a prompt of {len(prompt)} tokens and {max_tokens} more do not fit "
                f"{model.window_name}; shorten the prompt or lower max_tokens"
            )
    batch = _PaddedBatch(model, prompts, max_tokens, readings or Readings(model, most_bytes=0))
    uniforms = np.stack([stream(seed).random(max_tokens) for seed in seeds])
    texts: list[list[int]] = [[] for _ in prompts]
    running = np.arange(len(prompts))
    logits = batch.read_prompts()
    for step in range(max_tokens):
        laws = processed_probabilities(logits.cpu().numpy(), sampling)
        tokens = np.array(
            [drawn_token(law, uniform) for law, uniform in zip(laws, uniforms[running, step], strict=True)]
        )
        if observe is not None:
            observe(running, laws, tokens)
        for row, token in zip(running.tolist(), tokens.tolist(), strict=True):
            texts[row].append(token)
        ended = np.isin(tokens, list(model.end_of_text))
        if ended.all():
            break
        batch.drop(running[ended].tolist())
        running = running[~ended]
        if step + 1 < max_tokens:
            logits = batch.read_tokens([text[-1] for text in texts])
    return [SampledContinuation(tuple(text), text[-1] in model.end_of_text) for text in texts]


class _PaddedBatch:
    """The cache of a batch of texts of unequal length, padded on the left; texts that ended leave it."""

    def __init__(
        self, model: CausalLM, prompts: Sequence[list[int]], max_tokens: int, readings: Readings
    ) -> None:
        self._model, self._readings = model, readings
        self._cache: PathCache = model.new_cache()
        self._prompts = [tuple(prompt) for prompt in prompts]
        # Of what is read before the first joint pass, which takes the prompts' last tokens.
        self._length = max(len(prompt) for prompt in prompts) - 1
        self._slots = self._length + 1 + max_tokens  # all at once: nothing is copied while texts grow
        self._padding = torch.tensor([self._length - len(prompt) + 1 for prompt in prompts])
        self._texts = list(range(len(prompts)))  # which text is in each of the cache's rows

    @torch.inference_mode()
    def read_prompts(self) -> torch.Tensor:
        """[batch, vocab] logits after the prompts.

        Each is read by itself but for its last token, equal ones once, and set behind its padding: a pass
        over a whole prompt gains nothing from company, and padding would be read along with it.
        """
        rows_of: dict[tuple[int, ...], list[int]] = {}
        for row, prompt in enumerate(self._prompts):
            rows_of.setdefault(prompt, []).append(row)
        slots: list[tuple[torch.Tensor, torch.Tensor]] = []
        for prompt, rows in rows_of.items():
            if len(prompt) == 1:
                continue
            own = self._readings.begun(prompt).cache
            for layer, (keys, values) in enumerate(own.filled_slots()):
                if layer == len(slots):
                    slots.append((self._buffer(keys), self._buffer(values)))
                place = slice(self._length + 1 - len(prompt), self._length)
                slots[layer][0][rows, :, place] = keys
                slots[layer][1][rows, :, place] = values
        if slots:
            self._cache.adopt(slots, (torch.arange(self._length) - self._padding[:, None]).clamp(min=0))
        return self.read_tokens([prompt[-1] for prompt in self._prompts])

    def read_tokens(self, tokens: list[int]) -> torch.Tensor:
        """[texts left, vocab] logits after one more token of each, in their order. tokens: of all texts."""
        filled, padding = self._cache.committed, self._padding[self._texts]
        visible = ~below(padding, filled + 1)[:, None]
        positions = filled - padding[:, None]
        one_each = torch.tensor([tokens[text] for text in self._texts])[:, None]
        logits = self._model.forward(self._cache, one_each, positions, visible, logit_rows=1).logits[:, -1]
        self._cache.keep([filled])
        return logits[np.argsort(self._texts)]

    def drop(self, texts: list[int]) -> None:
        """Read these no further. Each one's row goes to the last text, so that little is moved."""
        for text in texts:
            row, last = self._texts.index(text), self._texts.pop()
            if last != text:
                self._texts[row] = last
            self._cache.drop_row(row)

    def _buffer(self, states: torch.Tensor) -> torch.Tensor:
        """Room for all texts; only what a pass reads before it is written, the padding, needs a number."""
        shape = (len(self._prompts), states.shape[1], self._slots, states.shape[3])
        buffer = states.new_empty(shape)
        for row, padding in enumerate(self._padding.tolist()):
            buffer[row, :, :padding] = 0.0
        return buffer
