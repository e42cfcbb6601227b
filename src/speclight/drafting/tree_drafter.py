"""A drafter made of a law and a way to grow a tree from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch

from speclight.arrays import IntArray
from speclight.drafting.path_scorer import TokenPath
from speclight.drafting.protocol import (
    BorrowsTargetCache,
    DraftNoise,
    GivesBackTargetCache,
    KeepsLaws,
    LawSource,
    MetersItsCost,
    ObservesScores,
)
from speclight.drafting.reading_ahead import ReadingAhead
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import Draft, DraftCost, DraftedAhead, Growth, grown
from speclight.trees.paced_growth import NodeWorth, PacedGrowth

# (root token, node budget, noise) -> an empty growth
GrowthStart = Callable[[int, int, DraftNoise], Growth]


@dataclass(frozen=True, slots=True)
class _Held:
    """Paths below the root whose laws were asked for ahead, and what all that was asked for has cost."""

    paths: frozenset[TokenPath]
    cost: DraftCost


class TreeDrafter:
    """Grows a tree of any kind from any law source, asking for laws one level at a time.

    grows: whether the tree may stop growing where it does not pay, see KeepsPace. never_drafted: tokens that
    no growth takes in, so that nothing is drafted ahead after them.
    """

    def __init__(
        self,
        source: LawSource,
        start_growth: GrowthStart,
        *,
        grows: bool = True,
        never_drafted: Collection[int] = (),
    ) -> None:
        self.name = source.name
        self.hidden_layers = source.hidden_layers
        self._source = source
        # What it can is asked once: the question takes longer than many an answer.
        self._observing = source if isinstance(source, ObservesScores) else None
        self._borrowing = source if isinstance(source, GivesBackTargetCache) else None
        self._metering = source if isinstance(source, MetersItsCost) else None
        self._start_growth = start_growth
        self.grows = grows
        self._worth: NodeWorth | None = None
        self._last = 0
        self._never_drafted = never_drafted
        self._draft: Draft | None = None
        self._ahead: ReadingAhead | None = None
        self._held: _Held | None = None

    @property
    def drafts_ahead(self) -> bool:
        """See DraftsAhead."""
        return isinstance(self._source, KeepsLaws)

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
        self._draft = self._ahead = self._held = None
        self._source.begin(token_ids, features)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._held = None if self._ahead is None else self._below(self._ahead.paths, tuple(token_ids))
        self._draft = self._ahead = None
        self._source.extend(token_ids, features)

    def draft_ahead(self) -> bool:
        """See DraftsAhead: the laws of likely paths beyond the draft. Nothing where nothing was drafted."""
        if self._draft is None or len(self._draft.tree) == 1:
            return False
        if self._ahead is None:
            self._ahead = ReadingAhead(self._source, self._draft, self._never_drafted)
        return self._ahead.step()

    def propose(self, node_budget: int, noise: DraftNoise) -> Draft:
        """See Drafter."""
        try:
            growth = self._start_growth(self._last, node_budget, noise)
            if self.grows and self._worth is not None and node_budget > 1:
                growth = PacedGrowth(growth, self._worth)
            self._draft = self._grown(growth)
            return self._draft
        finally:
            if self._borrowing is not None:
                self._borrowing.give_back()

    @property
    def observes(self) -> bool:
        """See ObservesScores."""
        return self._observing is not None and self._observing.observes

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """See ObservesScores."""
        if self._observing is not None:
            self._observing.observe(tree, best_tokens)

    def _grown(self, growth: Growth) -> Draft:
        draft = grown(growth, self._source.laws)
        if self._metering is not None:
            draft = replace(draft, cost=self._metering.spent())
        if self._held is not None:
            draft = replace(
                draft, ahead=DraftedAhead(self._held.cost, len(self._held.paths & draft.laws.keys()))
            )
        return draft

    def _below(self, paths: Sequence[TokenPath], emitted: TokenPath) -> _Held:
        assert isinstance(self._source, KeepsLaws), "others are not asked ahead"
        depth = len(emitted)
        kept = frozenset(path[depth:] for path in paths if path[:depth] == emitted)
        return _Held(kept, self._source.spent())
