"""Where a text ends: decided token by token, so that a call which emits several is cut at the right one."""

from __future__ import annotations

from typing import Literal

from speclight.decoding.settings import DecodeSettings
from speclight.models.causal_lm import CausalLM

FinishReason = Literal[
    "end_of_text", "stop_token", "stop_string", "stop_criterion", "length", "context_window"
]
# A token that starts in the middle of a character, or with a space its tokenizer takes back when it comes
# first, changes the text of those few after it: read that many more than a stop string can need.
TOKENS_TO_SPARE = 8


class Stopping:
    """Tells after each emitted token whether the text ends there, and why.

    Cutting a text at a time that depends on its past alone leaves its law what it was up to that time.
    """

    def __init__(self, target: CausalLM, settings: DecodeSettings, prompt_ids: list[int]) -> None:
        self._target = target
        self._settings = settings
        self._text = list(prompt_ids)
        self._prompt_tokens = len(prompt_ids)
        # Every token has at least one byte of text, special ones included.
        longest = max((len(string.encode()) for string in settings.stop_strings), default=0)
        self._tail = longest + TOKENS_TO_SPARE

    def cut(self, tokens: list[int]) -> list[int]:
        """The tokens up to the one the text ends with, or all of them; `reason` then says why it ended."""
        for index, token in enumerate(tokens):
            self._text.append(token)
            if self.reason is not None:
                return tokens[: index + 1]
        return tokens

    @property
    def emitted(self) -> int:
        """Tokens after the prompt."""
        return len(self._text) - self._prompt_tokens

    @property
    def reason(self) -> FinishReason | None:
        """Why the text ends with its last emitted token; None while it goes on."""
        token, settings, emitted = self._text[-1], self._settings, self.emitted
        if emitted == 0:
            return None
        if token in self._target.end_of_text:
            return "end_of_text"
        if token in settings.stop_token_ids:
            return "stop_token"
        if settings.stop_strings and self._ends_at_stop_string(emitted):
            return "stop_string"
        if any(criterion(self._text) for criterion in settings.stop_criteria):
            return "stop_criterion"
        return "length" if emitted >= settings.max_tokens else None

    def _ends_at_stop_string(self, emitted: int) -> bool:
        tail = self._text[-min(self._tail, emitted) :]
        text = self._target.tokenizer.decode(tail, skip_special_tokens=False)
        assert isinstance(text, str)  # one sequence gives one string
        return any(string in text for string in self._settings.stop_strings)
