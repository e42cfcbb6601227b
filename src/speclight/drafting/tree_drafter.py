"""A drafter made of a law and a way to grow a tree from it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from speclight.drafting.protocol import Draft, DraftCost, DraftNoise, LawSource
from speclight.trees.growing_tree import Growth

# (root token, node budget, noise) -> an empty growth
GrowthStart = Callable[[int, int, DraftNoise], Growth]


class TreeDrafter:
    """Grows a tree of any kind from any law source, asking for laws one level at a time."""

    def __init__(self, source: LawSource, start_growth: GrowthStart) -> None:
        self.name = source.name
        self.hidden_layers = source.hidden_layers
        self._source = source
        self._start_growth = start_growth
        self._last = 0

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._source.begin(token_ids, features)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._source.extend(token_ids, features)

    def propose(self, node_budget: int, noise: DraftNoise) -> Draft:
        """See Drafter."""
        growth = self._start_growth(self._last, node_budget, noise)
        calls = expanded = 0
        while nodes := growth.unexpanded():
            for node, law in zip(nodes, self._source.laws(growth.known, nodes), strict=True):
                growth.expand(node, law)
            calls += 1
            expanded += len(nodes)
        return Draft(growth.tree(), DraftCost(calls, expanded))
