"""Text as it grows token by token, in whole characters."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.models.causal_lm import CausalLM

# What a tokenizer puts in place of bytes that are no character yet: the next token may complete it.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class TextPieces:
    """Turns emitted tokens into the text they add; the pieces together are the text of all tokens."""

    def __init__(self, target: CausalLM) -> None:
        self._tokenizer = target.tokenizer
        self._token_ids: list[int] = []
        self._shown = ""

    def add(self, token_ids: Sequence[int]) -> str:
        """What these tokens add to the text; a character that is not complete yet is held back.

        All ids are decoded anew: a token's text depends on those before it.
        """
        self._token_ids += token_ids
        return self._piece(self._text().rstrip(INCOMPLETE))

    def finish(self) -> str:
        """What was held back."""
        return self._piece(self._text())

    def _text(self) -> str:
        text = self._tokenizer.decode(self._token_ids, skip_special_tokens=True)
        assert isinstance(text, str)  # one sequence gives one string
        return text

    def _piece(self, text: str) -> str:
        if len(text) <= len(self._shown):  # some tokenizers take a space back: what is shown stays
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece
