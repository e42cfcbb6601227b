"""The drafted candidates after a node, in the order a rule must try them, each with the law it came from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput, VocabularyMismatch
from speclight.trees.draft_tree import DraftTree, SampledChildren
from speclight.trees.sampled import law_of_undrawn
from speclight.verification.noise import draw_counts

# A float32 softmax over 152k logits, summed in float64, misses 1 by about 1e-7.
SUM_ATOL = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One candidate for the token after a node.

    child, token: the drafted node and what it holds. coin: the number of its coin. law: [vocab] the law it
    was drawn from, given the candidates before it; one-hot for a deterministic draft.
    """

    child: int
    token: int
    coin: int
    law: FloatArray

    @property
    def probability(self) -> float:
        """The chance with which the drafter drew this token; above 0."""
        return float(self.law[self.token])


class Proposals:
    """The candidates of one draft tree.

    Coins are numbered by node, and at each node in the order drawn. A deterministic candidate is a draw from
    the one-hot law of itself: rules that are lossless for any proposal law fixed before the draw cover it.
    """

    def __init__(self, tree: DraftTree) -> None:
        self._tree = tree
        self._counts = draw_counts(tree)
        self._first_coins = [0, *itertools.accumulate(self._counts)]

    def count(self, node: int) -> int:
        """How many candidates there are after `node`, repeats counted."""
        return self._counts[node]

    def after(self, node: int, vocabulary_size: int) -> Iterator[Proposal]:
        """The candidates after `node`, in the order drawn; repeats are given again.

        Raises VocabularyMismatch or InvalidInput if the recorded law cannot be the one they were drawn from.
        """
        first = self._first_coins[node]
        if self._tree.samples is None:
            return self._certain(node, first, vocabulary_size)
        sample = self._tree.samples[node]
        return iter(()) if sample is None else self._drawn(sample, first, vocabulary_size)

    def _certain(self, node: int, coin: int, vocabulary_size: int) -> Iterator[Proposal]:
        for offset, child in enumerate(self._tree.children(node).tolist()):
            token = int(self._tree.tokens[child])
            law = np.zeros(vocabulary_size)
            law[token] = 1.0
            yield Proposal(child, token, coin + offset, law)

    def _drawn(self, sample: SampledChildren, coin: int, vocabulary_size: int) -> Iterator[Proposal]:
        tokens = self._tree.tokens[sample.draws].tolist()
        _check_law(sample.law, tokens, vocabulary_size)
        if self._tree.kind == "without_replacement" and len(set(tokens)) < len(tokens):
            raise InvalidInput(f"draws {tokens} repeat a token; a draft without replacement cannot")
        for offset, child in enumerate(sample.draws.tolist()):
            law: FloatArray | None = sample.law
            if self._tree.kind == "without_replacement" and offset:
                law = law_of_undrawn(sample.law, tokens[:offset])
            assert law is not None, "a drawn token has probability above 0 and was not drawn before"
            yield Proposal(child, tokens[offset], coin + offset, law)


def _check_law(law: FloatArray, tokens: list[int], vocabulary_size: int) -> None:
    if law.shape != (vocabulary_size,):
        raise VocabularyMismatch(
            f"the drafter's law has shape {law.shape}, the target's ({vocabulary_size},); "
            "record the law in the target's vocabulary"
        )
    if not abs(float(law.sum()) - 1.0) <= SUM_ATOL or law.min() < 0.0 or law[tokens].min(initial=1.0) <= 0.0:
        raise InvalidInput(
            f"the drafter's law sums to {law.sum()} and gives its own draws {law[tokens].tolist()}; "
            "record the law that was sampled: processed, renormalised, above 0 at every draw"
        )
