"""The law of Medusa heads along drafted paths: it depends on a node's depth only."""

from __future__ import annotations

import numpy as np
import torch

from speclight.drafting.medusa.heads import MedusaHeads
from speclight.trees.growing_tree import CandidateLaw, GrowingTree

NOTHING = CandidateLaw(np.array([], dtype=np.int64), np.array([]))


class MedusaLaw:
    """The heads read the state that decided on the last committed token; head d guesses d + 1 places on.

    So a tree is at most as deep as there are heads. A text of one token has no state yet: nothing is drafted.
    """

    def __init__(self, name: str, heads: MedusaHeads) -> None:
        self.name = name
        self.hidden_layers = (heads.state_layer,)
        self._heads = heads
        self._state: torch.Tensor | None = None
        self._by_depth: dict[int, CandidateLaw] = {}

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        self._state = None
        self.extend(token_ids, features)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        if features is not None and len(features):
            self._state = features[-1]
        self._by_depth = {}

    @torch.inference_mode()
    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        return [self._law(known.depths[node]) for node in nodes]

    def _law(self, depth: int) -> CandidateLaw:
        if self._state is None or depth >= len(self._heads.heads):
            return NOTHING
        if depth not in self._by_depth:
            head = self._heads.heads[depth]
            logits = head.logits(self._state.to(head.output)).double()
            log_probs = torch.log_softmax(logits, dim=0).cpu().numpy()
            self._by_depth[depth] = CandidateLaw(self._heads.target_ids, log_probs)
        return self._by_depth[depth]
