"""The n-gram drafter as a law on the whole vocabulary: counts, smoothed by those of shorter contexts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.drafting.ngram import LONGEST_NGRAM
from speclight.trees.growing_tree import CandidateLaw, GrowingTree


def count_law(text: Sequence[int], vocabulary_size: int) -> FloatArray:
    """[vocab] law of the next token after `text`, from `text` alone; every token has a chance.

    Interpolated from contexts of no token (uniform at the bottom) up to LONGEST_NGRAM tokens: with N
    occurrences of a context, followed by T different tokens, counts get weight N / (N + T) and the law of
    the next shorter context the rest (Witten and Bell 1991, "method C"). A drafter by prompt lookup alone
    proposes nothing at most contexts; divergences and ranks need a law, and this is its usual completion.
    """
    law = np.full(vocabulary_size, 1.0 / vocabulary_size)
    for length in range(LONGEST_NGRAM + 1):
        context = list(text[len(text) - length :])
        if len(context) < length:
            break
        followers = Counter(
            text[place + length]
            for place in range(len(text) - length)
            if list(text[place : place + length]) == context
        )
        if not followers:
            break
        total = followers.total()
        law *= len(followers) / (total + len(followers))
        law[list(followers)] += np.array(list(followers.values())) / (total + len(followers))
    return law


class CountLaw:
    """The count law along drafted paths, as a law source."""

    name: str = "ngram"
    hidden_layers: tuple[int, ...] = ()

    def __init__(self, vocabulary_size: int) -> None:
        self._vocabulary_size = vocabulary_size
        self._text: list[int] = []

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        self._text = list(token_ids)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""
        self._text.extend(token_ids)

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        tokens = np.arange(self._vocabulary_size)
        return [
            CandidateLaw(
                tokens, np.log(count_law([*self._text, *known.token_path(node)], self._vocabulary_size))
            )
            for node in nodes
        ]
