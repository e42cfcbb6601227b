"""Text as it grows token by token, in whole characters."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.models.causal_lm import CausalLM
from speclight.models.common_prefix import common_prefix_length

# What a tokenizer puts in place of bytes that are no character yet: the next token may complete it.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
# A token for one byte, as tokenizers that fall back to bytes write it; this byte stands in no character.
NO_CHARACTER = "<0xFF>"
# Transformers' clean-up of spaces takes one out of " ." and of " n't": a space and fewer characters than this
# behind it may still become such a thing.
CLEANED_UP_WITHIN = 4


class TextPieces:
    """Turns emitted tokens into the text they add; the pieces together are the text of all tokens."""

    def __init__(self, target: CausalLM) -> None:
        self._target = target
        self._no_character = target.tokenizer.get_vocab().get(NO_CHARACTER)
        self._cleans_up = bool(getattr(target.tokenizer, "clean_up_tokenization_spaces", False))
        self._token_ids: list[int] = []
        self._shown = ""

    def add(self, token_ids: Sequence[int]) -> str:
        """What these tokens add to the text; what later ones may still change is held back.

        All ids are decoded anew: a token's text depends on those before it.
        """
        self._token_ids += token_ids
        text = self._target.text_of(self._token_ids)
        if self._no_character is not None:
            # Bytes in a row are read together: one that fits nowhere makes all of them unreadable.
            spoilt = self._target.text_of([*self._token_ids, self._no_character])
            text = text[: common_prefix_length(text, spoilt)]
        text = text.rstrip(INCOMPLETE)
        space = text.rfind(" ")
        if self._cleans_up and len(text) - space < CLEANED_UP_WITHIN:
            text = text[: max(space, 0)]
        return self._piece(text)

    def finish(self) -> str:
        """What was held back."""
        return self._piece(self._target.text_of(self._token_ids))

    def _piece(self, text: str) -> str:
        if len(text) <= len(self._shown):
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece
