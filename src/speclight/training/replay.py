"""Tokens per call of a drafter on stored texts, without running the target.

The text a target call adds to is the target's own, so what a call would emit is known: the stored text's next
tokens as far as they stay in the draft tree, and one more. Exact for texts sampled as they are replayed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.drafting.along_text import AlongText
from speclight.drafting.protocol import LawSource
from speclight.training.shards import ScoredConversation
from speclight.trees.best_first import BestFirstGrowth


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedCalls:
    """The calls of a replayed decode.

    tokens_by_call: [calls] X of each; those that a text's end cuts are left out.
    """

    tokens_by_call: FloatArray

    @property
    def tokens_per_call(self) -> float:
        """Mean X."""
        return float(self.tokens_by_call.mean())


def replay(
    source: LawSource,
    texts: list[ScoredConversation],
    node_budget: int,
    never_drafted: Collection[int] = (),
) -> ReplayedCalls:
    """Decode the answers of stored texts again with best-first trees of `node_budget` nodes."""
    emitted: list[int] = []
    for text in texts:
        tokens = text.tokens.tolist()
        committed = text.answer_from
        along = AlongText(source, tokens)
        while committed < len(tokens):
            along.stop(committed, text.features)
            tree = along.drafted(BestFirstGrowth(along.root, node_budget, never_drafted)).tree
            call = 1 + len(tree.follow(tokens[committed:]))
            committed += call
            if committed <= len(tokens):
                emitted.append(call)
    return ReplayedCalls(np.array(emitted, dtype=np.float64))
