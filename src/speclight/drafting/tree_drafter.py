"""A drafter made of a law and a way to grow a tree from it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from speclight.arrays import IntArray
from speclight.drafting.protocol import (
    BorrowsTargetCache,
    Draft,
    DraftCost,
    DraftNoise,
    GivesBackTargetCache,
    LawSource,
    MetersItsCost,
    ObservesScores,
)
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, Growth

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
            return self._grown(self._start_growth(self._last, node_budget, noise))
        finally:
            if isinstance(self._source, GivesBackTargetCache):
                self._source.give_back()

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """See ObservesScores."""
        if isinstance(self._source, ObservesScores):
            self._source.observe(tree, best_tokens)

    def _grown(self, growth: Growth) -> Draft:
        calls = expanded = 0
        laws: dict[tuple[int, ...], CandidateLaw] = {}
        while nodes := growth.unexpanded():
            for node, law in zip(nodes, self._source.laws(growth.known, nodes), strict=True):
                growth.expand(node, law)
                laws[tuple(growth.known.tokens[step] for step in growth.known.path(node)[1:])] = law
            calls += 1
            expanded += len(nodes)
        if isinstance(self._source, MetersItsCost):
            return Draft(growth.tree(), self._source.spent(), laws)
        return Draft(growth.tree(), DraftCost(calls, expanded), laws)
