"""A conversation: what was read in earlier turns is not read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

from speclight.checks import check_text
from speclight.decoding.call_trace import CallTrace
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.decoding.options import DecodeOptions, chosen_decoding
from speclight.models.causal_lm import CausalLM
from speclight.models.given_target import check_target
from speclight.models.prompting import chat_token_ids
from speclight.models.scored_text import ScoredText


class Conversation:
    """Turns of one chat, decoded speculatively over one key-value cache of the target.

    Each turn the whole chat is written in the model's template, so the text is what a fresh start would give,
    and only tokens from its first difference to the cached text on are read: normally the new message and
    the template around it. The drafter starts each turn anew from the whole text.
    system: an instruction that stands before the first turn. options: of every turn, see `DecodeOptions`;
    turn number n (from 0) is decoded with seed `seed + n`. messages: the chat so far, role and content each.
    Raises InvalidInput as `speclight.generate` does.
    """

    def __init__(
        self,
        target: CausalLM,
        *,
        system: str | None = None,
        **options: Unpack[DecodeOptions],
    ) -> None:
        decoding = chosen_decoding(**options)
        check_target(target)
        if system is not None:
            check_text("system", system)
        self.messages: list[dict[str, str]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        self._target = target
        self._settings = decoding.settings
        self._rule = decoding.rule
        (self._drafter,) = decoding.drafters(target, 1)
        self._text: ScoredText | None = None
        self._turns = 0

    def say(self, message: str, on_call: Callable[[CallTrace], None] | None = None) -> Generation:
        """Answer one more user message. Raises ContextOverflow, the chat unchanged, when it is full."""
        check_text("the message", message)
        messages = [*self.messages, {"role": "user", "content": message}]
        prompt_ids = chat_token_ids(self._target, messages)
        if self._text is None:
            self._text = ScoredText(self._target, prompt_ids, self._drafter.hidden_layers)
        settings = replace(self._settings, seed=self._settings.seed + self._turns)
        generation = generate_from_ids(
            self._target, prompt_ids, self._drafter, self._rule, settings, on_call, self._text
        )
        self._turns += 1
        self.messages = [*messages, {"role": "assistant", "content": generation.text}]
        return generation

    @property
    def tokens_held(self) -> int:
        """Tokens of the chat that are in the target's cache."""
        return 0 if self._text is None else self._text.cache.committed
