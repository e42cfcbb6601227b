"""The n-gram drafter as a law on the whole vocabulary: counts, smoothed by those of shorter contexts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from speclight.drafting.ngram import LONGEST_NGRAM
from speclight.trees.draft_tree import FloatArray


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
