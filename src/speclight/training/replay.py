"""Tokens per call of a drafter on stored texts, without running the target.

The text a target call adds to is the target's own, so what a call would emit is known: the stored text's next
tokens as far as they stay in the draft tree, and one more. Exact for texts sampled as they are replayed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.drafting.protocol import LawSource
from speclight.training.shards import ScoredConversation
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedCalls:
    """tokens_by_call: [calls] X of every call; those cut off by the end of a text are left out."""

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
        source.begin(tokens[:committed], text.features[: committed - 1])
        while committed < len(tokens):
            tree = _grown(source, BestFirstGrowth(tokens[committed - 1], node_budget, never_drafted))
            matched = _matched(tree, tokens[committed:])
            end = committed + matched + 1
            if end > len(tokens):
                break
            emitted.append(matched + 1)
            source.extend(tokens[committed:end], text.features[committed - 1 : end - 1])
            committed = end
    return ReplayedCalls(np.array(emitted, dtype=np.float64))


def _grown(source: LawSource, growth: BestFirstGrowth) -> DraftTree:
    while nodes := growth.unexpanded():
        for node, law in zip(nodes, source.laws(growth.known, nodes), strict=True):
            growth.expand(node, law)
    return growth.tree()


def _matched(tree: DraftTree, tokens: list[int]) -> int:
    """How many of the next tokens lie in the tree, one below the other."""
    children = {
        (parent, token): node
        for node, (parent, token) in enumerate(zip(tree.parents.tolist(), tree.tokens.tolist(), strict=True))
    }
    node = matched = 0
    for token in tokens:
        child = children.get((node, token))
        if child is None:
            break
        node, matched = child, matched + 1
    return matched
