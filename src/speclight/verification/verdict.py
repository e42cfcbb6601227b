"""What a verification rule decides about one draft tree."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.arrays import IntArray
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The accepted path and the token the target supplies itself after it.

    path: [accepted drafts + 1] nodes from the root (always accepted) to the last accepted node.
    next_token: the token emitted after the path; it becomes the root of the next call.
    """

    path: IntArray
    next_token: int

    @property
    def accepted_drafts(self) -> int:
        """Drafted tokens that were accepted; the root is not one of them."""
        return len(self.path) - 1

    def tokens(self, tree: DraftTree) -> list[int]:
        """The tokens this call emits: X = accepted drafts + 1 of them."""
        return [*tree.tokens[self.path[1:]].tolist(), self.next_token]
