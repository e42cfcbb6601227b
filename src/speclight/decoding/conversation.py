"""A conversation: what was read in earlier turns is not read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.generate import Generation, drafter_for, generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.protocol import Drafter
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.models.scored_text import ScoredText
from speclight.verification.rule import VerifyRule
from speclight.verification.rules import rule_named


class Conversation:
    """Turns of one chat, decoded speculatively over one key-value cache of the target.

    Each turn the whole chat is written in the model's template, so the text is what a fresh start would give,
    and only tokens from its first difference to the cached text on are read: normally the new message and
    the template around it. The drafter starts each turn anew from the whole text.
    settings: of every turn; turn number n (from 0) is decoded with seed `settings.seed + n`.
    messages: the chat so far, role and content each; a system message goes first.
    """

    def __init__(
        self,
        target: CausalLM,
        *,
        drafter: str | Drafter = "ngram",
        rule: str | VerifyRule = "target_sample",
        settings: DecodeSettings | None = None,
        system: str | None = None,
    ) -> None:
        self.messages: list[dict[str, str]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        self._target = target
        self._settings = DecodeSettings() if settings is None else settings
        self._rule = rule_named(rule) if isinstance(rule, str) else rule
        self._drafter = drafter_for(target, drafter, self._rule, self._settings.sampling)
        self._text: ScoredText | None = None
        self._turns = 0

    def say(self, message: str, on_call: Callable[[CallTrace], None] | None = None) -> Generation:
        """Answer one more user message. Raises ContextOverflow, the chat unchanged, when it is full."""
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
