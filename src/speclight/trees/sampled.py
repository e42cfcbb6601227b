"""Trees whose nodes are samples of the drafter's law, drawn into the places of a fixed shape."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, DraftTree, SampledChildren
from speclight.trees.growing_tree import CandidateLaw, GrowingTree
from speclight.trees.shapes import TreeShape


class TokenDraws(Protocol):
    """A source of fresh, independent draws."""

    def sample(self, law: FloatArray) -> int:
        """A token drawn from `law` ([vocab], sums to 1)."""
        ...


class SampledGrowth:
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
        self.known = GrowingTree(root_token)
        self._shape = shape
        self._vocabulary_size = vocabulary_size
        self._draws = draws
        self._replacement = replacement
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)
        self._places = [[0]]  # node -> its places in the shape, several for a repeated draw
        self._samples: dict[int, SampledChildren] = {}
        self._level = [0] if len(shape) > 1 else []

    def unexpanded(self) -> list[int]:
        """Nodes of the deepest level that the shape continues."""
        return list(self._level)

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._level.remove(node)
        probabilities = self._drafted_law(law)
        if probabilities is None:
            return
        wanted = [int(child) for place in self._places[node] for child in self._shape.children(place)]
        tokens = self._drawn_tokens(probabilities, len(wanted))
        distinct = list(dict.fromkeys(tokens))
        added = self.known.add(node, np.array(distinct), np.log(probabilities[distinct]))
        child_of = dict(zip(distinct, added, strict=True))
        draws = [child_of[token] for token in tokens]
        self._samples[node] = SampledChildren(probabilities, np.array(draws))
        self._places.extend([] for _ in added)
        for child, place in zip(draws, wanted, strict=False):  # fewer draws where nothing was left
            self._places[child].append(place)
        self._level.extend(child for child in added if self._continues(child))

    def tree(self) -> DraftTree:
        """The tree of all nodes drawn so far, nodes level by level."""
        kind: DraftKind = "with_replacement" if self._replacement else "without_replacement"
        nodes = len(self.known.tokens)
        return DraftTree(
            np.array(self.known.tokens),
            np.array(self.known.parents),
            np.array(self.known.log_probs),
            kind,
            tuple(self._samples.get(node) for node in range(nodes)),
        )

    def _continues(self, node: int) -> bool:
        return any(len(self._shape.children(place)) for place in self._places[node])

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
