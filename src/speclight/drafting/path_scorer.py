"""A causal model that scores drafted paths: each token is read once, and only accepted ones stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from transformers import Cache

from speclight.drafting.vocabulary import TokenMap
from speclight.models.causal_lm import CausalLM
from speclight.models.common_prefix import common_prefix_length
from speclight.models.kv_cache import PathCache
from speclight.models.visibility import below
from speclight.trees.growing_tree import DraftCost

# Tokens (of the target's vocabulary) from the last committed one, left out, to a drafted one; () is the root.
TokenPath = tuple[int, ...]
Known = TypeVar("Known")


class _FirstLayers(PathCache):
    """The first layers of another cache, seen as a cache of their own."""

    def __init__(self, whole: PathCache, layers: int) -> None:
        self.path_layers = whole.path_layers[:layers]
        Cache.__init__(self, layers=list(self.path_layers))
        self.committed = whole.committed


class PathScorer:
    """Logits after any drafted path, by tree attention over one cache of the committed text.

    Paths are known by their tokens, so it does not matter who asks for them, in what order, or twice. When
    the text is extended along a scored path, that path stays in the cache and is not read again, nor is what
    was scored below it; all other drafted slots are dropped. Tokens the target supplied itself are read with
    the next root.

    A text that fills the model's window has no scores: `row` then gives None.
    """

    def __init__(self, model: CausalLM, tokens: TokenMap) -> None:
        self.model = model
        self.tokens = tokens
        self._text: list[int] = []  # in the model's own tokens
        self._own = model.new_cache()
        self._offered: PathCache | None = None
        self._borrowed: PathCache | None = None
        self._calls = self._scored = 0
        self._forget()

    def borrow(self, cache: PathCache) -> None:
        """See BorrowsTargetCache: the model's layers are the first ones of the cache's, same vocabulary."""
        self._offered = cache

    def give_back(self) -> None:
        """See GivesBackTargetCache."""
        if self._borrowed is not None:
            _FirstLayers(self._borrowed, self.model.layers).keep([])
            self._forget()

    def begin(self, token_ids: list[int]) -> None:
        """Start a new text, in the target's tokens; what is held of its beginning is not read again."""
        held = self._text[: self._own.committed]
        self._text = self.tokens.spelled(token_ids)
        self._borrowed, self._offered = self._offered, None
        self._forget()
        kept = common_prefix_length(held, self._text[:-1])
        if kept:
            self._own.rewind(kept)
        else:
            self._own = self.model.new_cache()
        if self._borrowed is None and self._fits(()):
            self.model.prefill(self._own, self._text[self._own.committed : -1])

    def extend(self, token_ids: list[int]) -> None:
        """Take emitted tokens into the text; what was scored of them, and below all of them, stays known."""
        kept = list(self._root_slots)
        path: TokenPath = ()
        while len(path) < len(token_ids) and (*path, token_ids[len(path)]) in self._slots:
            path = (*path, token_ids[len(path)])
            kept.append(self._slots[path])
        self._text.extend(self.tokens.spelled(token_ids))
        if self._borrowed is not None:
            self._forget()
            return
        # Only where everything emitted was scored is the new root's own row known, or any below it.
        is_scored = len(path) == len(token_ids) and path in self._rows
        rows = _below(path, self._rows) if is_scored else {}
        slots = _below(path, self._slots) if is_scored else {}
        slots.pop((), None)  # the new root's own is committed
        self._own.keep(kept, list(slots.values()))
        self._forget()
        self._rows = rows
        self._slots = {below: self._own.committed + place for place, below in enumerate(slots)}
        self._text_end = self._own.committed

    def is_scored(self, path: TokenPath) -> bool:
        """Whether the row after this path is known."""
        return path in self._rows

    def row(self, path: TokenPath) -> torch.Tensor | None:
        """[model's vocabulary] logits after a path that `score` was asked for; None outside the window."""
        return self._rows.get(path)

    def score(self, paths: list[TokenPath]) -> None:
        """Make sure of the rows after these paths, those still missing in one call.

        Each path's prefix must have been scored before, or stand before it; the root is seen to here.
        """
        wanted = paths if () in self._rows else [(), *paths]
        new = [path for path in dict.fromkeys(wanted) if path not in self._rows and self._fits(path)]
        if not new:
            return
        cache = self._own if self._borrowed is None else _FirstLayers(self._borrowed, self.model.layers)
        is_scored = False
        try:
            rows = self._forward(cache, new)
            is_scored = True
        finally:
            if not is_scored:  # a failed pass leaves layers half filled
                cache.keep([])
                self._forget()
        self._rows.update(zip(new, rows, strict=True))
        self._calls += 1
        self._scored += len(new)

    def _forward(self, cache: PathCache, new: list[TokenPath]) -> torch.Tensor:
        """[new, model's vocabulary] logits after the new paths; the root, if new, stands first."""
        has_root = new[0] == ()
        unread = self._text[cache.committed :] if has_root else []
        drafted = new[1:] if has_root else new
        first = cache.filled
        if has_root:
            self._root_slots = range(first, first + len(unread))
            self._text_end = first + len(unread)
        self._slots.update((path, first + len(unread) + place) for place, path in enumerate(drafted))
        ids = unread + [int(self.tokens.draft_ids[path[-1]]) for path in drafted]
        depths = [self._text_end - 1 + len(path) for path in drafted]
        return self.model.forward(
            cache,
            torch.tensor([ids]),
            torch.tensor([[*range(first, first + len(unread)), *depths]]),
            self._visible(cache, len(unread), drafted),
            logit_rows=len(new),
        ).logits[0]

    def spent(self) -> DraftCost:
        """See MetersItsCost."""
        cost = DraftCost(self._calls, self._scored)
        self._calls = self._scored = 0
        return cost

    def _visible(self, cache: PathCache, unread: int, drafted: list[TokenPath]) -> torch.Tensor:
        """[1, new, slots]: unread tokens of the text see what stands before them, drafted ones their path."""
        new, first = unread + len(drafted), cache.filled
        ends = [*range(first + 1, first + unread + 1), *([self._text_end] * len(drafted))]
        paths = [[self._slots[path[:depth]] for depth in range(1, len(path) + 1)] for path in drafted]
        return below(ends, first + new, [*([[]] * unread), *paths])[None]

    def _fits(self, path: TokenPath) -> bool:
        return len(self._text) - 1 + len(path) < self.model.context_window

    def _forget(self) -> None:
        self._rows: dict[TokenPath, torch.Tensor] = {}
        self._slots: dict[TokenPath, int] = {}
        self._root_slots = range(0)
        self._text_end = 0


def _below(path: TokenPath, known: Mapping[TokenPath, Known]) -> dict[TokenPath, Known]:
    """What is known of this path and of those that go on from it, by the rest of each, in the same order."""
    depth = len(path)
    return {longer[depth:]: value for longer, value in known.items() if longer[:depth] == path}
