"""No drafting: plain decoding through the same loop."""

from __future__ import annotations

import torch

from speclight.drafting.protocol import DraftNoise
from speclight.trees.draft_tree import root_only
from speclight.trees.growing_tree import Draft, DraftCost


class NoDrafter:
    """Proposes the root alone, so every call emits one token."""

    name = "none"
    hidden_layers: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._last = 0

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]

    def propose(self, node_budget: int, noise: DraftNoise) -> Draft:
        """See Drafter."""
        return Draft(root_only(self._last), DraftCost(calls=0, expanded_nodes=0))

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
