"""Trees whose nodes are samples of the drafter's law, drawn into the places of a fixed shape."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, SampledChildren
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.shaped_growth import ShapedGrowth
from speclight.trees.shapes import TreeShape


class TokenDraws(Protocol):
    """A source of fresh, independent draws."""

    def sample(self, law: FloatArray) -> int:
        """A token drawn from `law` ([vocab], sums to 1)."""
        ...


class SampledGrowth(ShapedGrowth):
    """Grows a tree by drawing a token for each place of a shape, level by level.

    With replacement siblings are drawn independently. A place that draws a token which a sibling place drew
    before is the same node: that node then also makes the draws of the repeated place's children, so a
    repeat costs no node and loses no draw. Without replacement each sibling is drawn from the law
    renormalised on what is left; when nothing is left the remaining places stay empty.

    The law handed in is sampled as it is, apart from `never_drafted` tokens (end of text): their probability
    is set to 0 and the rest renormalised, and that law is the one recorded for verification. Where a law is
    empty nothing is drawn. How many draws are made at a node depends only on tokens drawn above it and on
    repeats among them, never on a value drawn below or beside it: the rules are lossless for such trees.

    shape: its ranks are without meaning here, only the order of siblings counts.
    Raises InvalidInput for a candidate outside the vocabulary.
    """

    def __init__(
        self,
        root_token: int,
        shape: TreeShape,
        vocabulary_size: int,
        draws: TokenDraws,
        *,
        replacement: bool,
        never_drafted: Collection[int] = (),
    ) -> None:
        kind: DraftKind = "with_replacement" if replacement else "without_replacement"
        super().__init__(root_token, shape, kind, never_drafted)
        self._vocabulary_size = vocabulary_size
        self._draws = draws
        self._replacement = replacement

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._level.remove(node)
        probabilities = self._drafted_law(law)
        if probabilities is None:
            return
        wanted = self._wanted(node)
        tokens = self._drawn_tokens(probabilities, len(wanted))
        distinct = list(dict.fromkeys(tokens))
        added = self.known.add(node, np.array(distinct), np.log(probabilities[distinct]))
        # Fewer draws than places where nothing was left.
        draws = self._filled(dict(zip(distinct, added, strict=True)), tokens, wanted)
        self._samples[node] = SampledChildren(probabilities, np.array(draws))

    def _drawn_tokens(self, law: FloatArray, count: int) -> list[int]:
        tokens: list[int] = []
        while len(tokens) < count:
            proposal = law if self._replacement else law_of_undrawn(law, tokens)
            if proposal is None:
                break
            tokens.append(self._draws.sample(proposal))
        return tokens

    def _drafted_law(self, law: CandidateLaw) -> FloatArray | None:
        if len(law.tokens) and not 0 <= law.tokens.min() <= law.tokens.max() < self._vocabulary_size:
            raise InvalidInput(
                f"the drafter's law names tokens {law.tokens.min()}..{law.tokens.max()}, expected ids of the "
                f"target's vocabulary, 0..{self._vocabulary_size - 1}; map the drafter's tokens first"
            )
        probabilities = np.zeros(self._vocabulary_size)
        probabilities[law.tokens] = np.exp(law.log_probs)
        return law_of_undrawn(probabilities, self._never_drafted.tolist())


def law_of_undrawn(law: FloatArray, drawn: list[int]) -> FloatArray | None:
    """[vocab] `law` given that the token is none of `drawn`; None where nothing else is possible."""
    left = law.copy()
    left[drawn] = 0.0
    mass = float(left.sum())
    return left / mass if mass > 0.0 else None
