"""The interface of a drafter."""

from __future__ import annotations

from typing import Protocol

from speclight.trees.draft_tree import DraftTree


class Drafter(Protocol):
    """Proposes a draft tree for the text that decoding has committed so far."""

    @property
    def name(self) -> str:
        """The name used on the command line and in records."""
        ...

    def begin(self, token_ids: list[int]) -> None:
        """Start a new text: the prompt's tokens, all committed."""
        ...

    def propose(self, node_budget: int) -> DraftTree:
        """A tree of at most `node_budget` nodes (root included) rooted at the last committed token.

        The budget is a ceiling: a drafter that has nothing to say returns the root alone.
        """
        ...

    def extend(self, token_ids: list[int]) -> None:
        """Tokens that the call just emitted: they are now committed."""
        ...
