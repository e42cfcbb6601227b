"""A drafter made of a law and a way to grow a tree from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from speclight.arrays import IntArray
from speclight.drafting.protocol import (
    BorrowsTargetCache,
    DraftNoise,
    GivesBackTargetCache,
    LawSource,
    MetersItsCost,
    ObservesScores,
)
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import Draft, Growth, grown
from speclight.trees.paced_growth import NodeWorth, PacedGrowth

# (root token, node budget, noise) -> an empty growth
GrowthStart = Callable[[int, int, DraftNoise], Growth]


class TreeDrafter:
    """Grows a tree of any kind from any law source, asking for laws one level at a time.

    grows: whether the tree may stop growing where it does not pay, see KeepsPace.
    """

    def __init__(self, source: LawSource, start_growth: GrowthStart, *, grows: bool = True) -> None:
        self.name = source.name
        self.hidden_layers = source.hidden_layers
        self._source = source
        self._start_growth = start_growth
        self.grows = grows
        self._worth: NodeWorth | None = None
        self._last = 0

    def keep_pace(self, worth: NodeWorth | None) -> None:
        """See KeepsPace."""
        self._worth = worth

    def borrow(self, cache: PathCache) -> None:
        """See BorrowsTargetCache."""
        if isinstance(self._source, BorrowsTargetCache):
            self._source.borrow(cache)

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
        try:
            growth = self._start_growth(self._last, node_budget, noise)
            if self.grows and self._worth is not None and node_budget > 1:
                growth = PacedGrowth(growth, self._worth)
            return self._grown(growth)
        finally:
            if isinstance(self._source, GivesBackTargetCache):
                self._source.give_back()

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """See ObservesScores."""
        if isinstance(self._source, ObservesScores):
            self._source.observe(tree, best_tokens)

    def _grown(self, growth: Growth) -> Draft:
        draft = grown(growth, self._source.laws)
        if isinstance(self._source, MetersItsCost):
            return replace(draft, cost=self._source.spent())
        return draft
