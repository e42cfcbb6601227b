"""Prompt lookup: draft what followed the same n-gram earlier in the text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

import numpy as np

from speclight.trees.draft_tree import DraftTree
from speclight.trees.growth import BestFirstGrowth

LONGEST_NGRAM = 4  # tokens; longer matches rarely decide otherwise and cost an index each
SHORTEST_NGRAM = 2  # a single shared token says little and would draft on nearly every call


class NgramDrafter:
    """Prompt lookup with branches.

    At a node the drafter's law is the empirical law of the tokens that followed the longest suffix (of
    text plus drafted path, LONGEST_NGRAM down to SHORTEST_NGRAM tokens) seen before in the committed text;
    the tree is grown best first under the node budget, so several continuations of one n-gram become
    branches weighted by their counts. Without a match nothing is drafted.
    Source of the idea: prompt lookup decoding (Saxena 2023); tree growth by arXiv 2512.11718v1, Lemma 1.
    """

    name = "ngram"

    def __init__(self, never_drafted: Collection[int] = ()) -> None:
        self._never_drafted = never_drafted
        self._text: list[int] = []
        self._followers: dict[tuple[int, ...], Counter[int]] = {}

    def begin(self, token_ids: list[int]) -> None:
        """See Drafter."""
        self._text = []
        self._followers = defaultdict(Counter)
        self.extend(token_ids)

    def extend(self, token_ids: list[int]) -> None:
        """See Drafter."""
        for token in token_ids:
            for length in range(SHORTEST_NGRAM, min(LONGEST_NGRAM, len(self._text)) + 1):
                self._followers[tuple(self._text[-length:])][token] += 1
            self._text.append(token)

    def propose(self, node_budget: int) -> DraftTree:
        """See Drafter."""
        growth = BestFirstGrowth(self._text[-1], node_budget, self._never_drafted)
        recent = self._text[-LONGEST_NGRAM:-1]
        while nodes := growth.unexpanded():
            for node in nodes:
                followers = self._continuations(recent + [growth.token(step) for step in growth.path(node)])
                tokens = np.array(list(followers), dtype=np.int64)
                counts = np.array(list(followers.values()), dtype=np.float64)
                growth.expand(node, tokens, np.log(counts / counts.sum()))
        return growth.tree()

    def _continuations(self, context: list[int]) -> Counter[int]:
        for length in range(min(LONGEST_NGRAM, len(context)), SHORTEST_NGRAM - 1, -1):
            followers = self._followers.get(tuple(context[-length:]))
            if followers:
                return followers
        return Counter()
