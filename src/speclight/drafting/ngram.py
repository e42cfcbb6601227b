"""Prompt lookup: the law of what followed the same n-gram earlier in the text."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import torch

from speclight.trees.growing_tree import CandidateLaw, GrowingTree

# Tokens of context. Chosen on texts of the default target (40 shipped prompts, eight of each family, 64
# tokens; greedy, then temperature 1), by tokens per call at P = 16. Shortest match 3: 1.26 and 1.06; 2: 1.33
# and 1.09; 1: 1.48 and 1.15, with 7.6 of 16 nodes used instead of 2.9. So a single token is matched too:
# that drafts on nearly every call, which is free where a call's time does not depend on its nodes, and for
# the node budget to limit where it does. Longest match 2: 1.457; 3: 1.470; 4: 1.476; 8: 1.477, each length
# at the price of an index.
LONGEST_NGRAM = 4
SHORTEST_NGRAM = 1


class NgramLaw:
    """Prompt lookup as a law.

    After a node, the law is the empirical law of the tokens that followed the longest suffix (of text plus
    drafted path, LONGEST_NGRAM down to SHORTEST_NGRAM tokens) seen before in the committed text, so several
    continuations of one n-gram are weighted by their counts. Without a match nothing is possible.
    Source of the idea: prompt lookup decoding (Saxena 2023).
    """

    name = "ngram"
    hidden_layers: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._text: list[int] = []
        self._followers: dict[tuple[int, ...], Counter[int]] = {}

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._text = []
        self._followers = defaultdict(Counter)
        self.extend(token_ids, features)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        for token in token_ids:
            for length in range(SHORTEST_NGRAM, min(LONGEST_NGRAM, len(self._text)) + 1):
                self._followers[tuple(self._text[-length:])][token] += 1
            self._text.append(token)

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        recent = self._text[-LONGEST_NGRAM:-1]  # the root is the text's last token
        return [self._law(recent + [known.tokens[step] for step in known.path(node)]) for node in nodes]

    def _law(self, context: list[int]) -> CandidateLaw:
        for length in range(min(LONGEST_NGRAM, len(context)), SHORTEST_NGRAM - 1, -1):
            followers = self._followers.get(tuple(context[-length:]))
            if followers:
                counts = np.array(list(followers.values()), dtype=np.float64)
                return CandidateLaw(np.array(list(followers), dtype=np.int64), np.log(counts / counts.sum()))
        return CandidateLaw(np.array([], dtype=np.int64), np.array([]))
