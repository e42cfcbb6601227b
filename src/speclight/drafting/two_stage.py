"""A drafter model that is itself sped up by a cheaper drafter."""

from __future__ import annotations

import heapq

import numpy as np
import torch

from speclight.drafting.model_law import ModelLaw, SharedCacheLaw
from speclight.drafting.path_scorer import TokenPath
from speclight.drafting.protocol import LawSource
from speclight.models.kv_cache import PathCache
from speclight.trees.growing_tree import CandidateLaw, DraftCost, GrowingTree

# Paths one call of the drafter model takes in besides those asked for. With the default target itself as
# the drafter model, helped by prompt lookup on four of its greedy texts, chains of 6 nodes take 5.00 calls
# without foresight, 4.61 with one path, 4.30 with two, 4.15 with four and 4.12 with eight; best-first trees
# of 8 nodes 3.86, 3.69, 3.60, 3.57 and 3.51. (Counted when what is scored below the emitted tokens was still
# dropped; it is kept now, which makes some calls fewer.)
FORESEEN_PATHS = 4


class TwoStageLaw:
    """The law of `model`, in fewer calls: each call also scores the paths that `helper` expects to be asked.

    While a tree grows, a drafter model is called once per level. Here the helper's most probable paths below
    the nodes asked for ride along in the same batched call (tree attention again), so that levels it has
    foreseen cost no call of their own. The laws, and so the trees, are exactly those of the model alone.
    Source of the idea: Spector & Re 2023, "Accelerating LLM Inference with Staged Speculative Decoding"
    (arXiv 2308.04623), section 3.2; there the drafter's own tokens are verified in turn, here its laws are
    computed ahead, which serves trees of any kind.
    """

    name = "two_stage"
    hidden_layers: tuple[int, ...] = ()
    keeps_laws = True  # the helper's change with what is committed, but they only say what to score early

    def __init__(self, model: ModelLaw, helper: LawSource) -> None:
        self._model = model
        self._helper = helper
        self._last = 0

    def borrow(self, cache: PathCache) -> None:
        """See BorrowsTargetCache; only a model made of the target's layers can make use of it."""
        if isinstance(self._model, SharedCacheLaw):
            self._model.borrow(cache)

    def give_back(self) -> None:
        """See GivesBackTargetCache."""
        if isinstance(self._model, SharedCacheLaw):
            self._model.give_back()

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._model.begin(token_ids, features)
        self._helper.begin(token_ids, features)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._model.extend(token_ids, features)
        self._helper.extend(token_ids, features)

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        paths = [known.token_path(node) for node in nodes]
        missing = {
            path: known.path_log_probs[node]
            for path, node in zip(paths, nodes, strict=True)
            if not self._model.is_scored(path)
        }
        if missing:
            self._model.score([*missing, *self._foreseen(missing)])
        return [self._model.law_after(path) for path in paths]

    def spent(self) -> DraftCost:
        """See MetersItsCost: the model's calls; the helper's are taken to be free."""
        return self._model.spent()

    def _foreseen(self, asked: dict[TokenPath, float]) -> list[TokenPath]:
        """The helper's most probable paths below those asked for, parents first.

        asked: path -> its log-probability under the model, nats.
        """
        guessed, places = GrowingTree(self._last), {(): 0}
        heap = [(-log_prob, path) for path, log_prob in asked.items()]
        heapq.heapify(heap)
        foreseen: list[TokenPath] = []
        while heap and len(foreseen) < FORESEEN_PATHS:
            cost, path = heapq.heappop(heap)
            if path not in asked and not self._model.is_scored(path):
                foreseen.append(path)
            (law,) = self._helper.laws(guessed, [_place_of(path, guessed, places)])
            for token, log_prob in zip(law.tokens.tolist(), law.log_probs.tolist(), strict=True):
                if self._model.can_read(token):
                    heapq.heappush(heap, (cost - log_prob, (*path, token)))
        return foreseen


def _place_of(path: TokenPath, tree: GrowingTree, places: dict[TokenPath, int]) -> int:
    """The node at the end of a path; it and its prefixes are added to the tree where they are missing."""
    for depth in range(1, len(path) + 1):
        prefix = path[:depth]
        if prefix not in places:
            added = tree.add(places[prefix[:-1]], np.array([prefix[-1]]), np.zeros(1))
            places[prefix] = added.start
    return places[path]
