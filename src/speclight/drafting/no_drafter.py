"""No drafting: plain decoding through the same loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from speclight.trees.draft_tree import DraftTree, root_only


@dataclass(slots=True)
class NoDrafter:
    """Proposes the root alone, so every call emits one token."""

    name: str = "none"
    _last: int = field(default=0, init=False)

    def begin(self, token_ids: list[int]) -> None:
        """See Drafter."""
        self._last = token_ids[-1]

    def propose(self, node_budget: int) -> DraftTree:
        """See Drafter."""
        return root_only(self._last)

    def extend(self, token_ids: list[int]) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
