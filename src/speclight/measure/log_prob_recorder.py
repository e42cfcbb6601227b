"""Limits from a user's own `model.generate`: a logits processor that records log-probabilities as it runs."""

from __future__ import annotations

from collections.abc import Collection

import torch
from transformers import LogitsProcessor

from speclight.errors import InvalidInput
from speclight.theory.laws.sampled_text import SampledText


class LogProbRecorder(LogitsProcessor):
    """Records the log-probability of every token that `generate` samples, and changes nothing.

    Hand it in as the last of `logits_processor=[...]`, sample with `do_sample=True` and no top-k or top-p,
    and call `texts` with what came back. Transformers scales by temperature after custom processors, so the
    recorder does the same to its own copy: temperature is the one given to `generate`, above 0. end_of_text:
    ids after which a row is finished. Raises InvalidInput for another temperature.
    """

    def __init__(self, end_of_text: Collection[int], temperature: float = 1.0) -> None:
        if not temperature > 0.0:
            raise InvalidInput(f"temperature must be above 0, got {temperature}: greedy text has no entropy")
        self._temperature = temperature
        self._end_of_text = frozenset(end_of_text)
        self._prompt_length = 0
        self._laws: torch.Tensor | None = None  # [rows, vocab] of the token that is being sampled
        self._columns: list[torch.Tensor] = []  # [rows] log-probability of each token sampled so far

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """The scores as they came, [rows, vocab]."""
        if self._laws is None:
            self._prompt_length = input_ids.shape[1]
        else:
            self._take(input_ids)
        self._laws = torch.log_softmax(scores.double() / self._temperature, dim=-1)
        return scores

    def texts(self, sequences: torch.Tensor, prompt_ids: list[str] | None = None) -> list[SampledText]:
        """The rows of one `generate` as sampled texts, and the recorder empty again.

        sequences: [rows, tokens] what `generate` returned, prompts included. prompt_ids: a name for each row,
        under which texts of one prompt are taken together. Raises InvalidInput if they are of another call.
        """
        steps = len(self._columns) + (self._laws is not None)
        if steps == 0 or sequences.shape[1] != self._prompt_length + steps:
            raise InvalidInput(
                f"the recorder saw {steps} tokens after prompts of {self._prompt_length}, the output holds "
                f"{sequences.shape[1]} in all; hand in the output of the call that it recorded, and a "
                "single one"
            )
        self._take(sequences)
        self._laws = None
        log_probs = torch.stack(self._columns, dim=1).cpu().numpy()
        self._columns = []
        names = prompt_ids or [f"row-{row}" for row in range(len(sequences))]
        found: list[SampledText] = []
        for row, tokens in enumerate(sequences[:, self._prompt_length :].tolist()):
            ends = [place for place, token in enumerate(tokens) if token in self._end_of_text]
            length = ends[0] + 1 if ends else len(tokens)
            found.append(SampledText(-log_probs[row, :length], bool(ends), names[row], length_limit=steps))
        return found

    def _take(self, input_ids: torch.Tensor) -> None:
        """Look the token up that the last law gave; rows that have ended hold padding, cut off later."""
        assert self._laws is not None
        newest = input_ids[:, self._prompt_length + len(self._columns)]
        self._columns.append(self._laws.gather(1, newest[:, None].to(self._laws.device))[:, 0])
