"""Targets and drafters given by a table of laws on three tokens, and the exact law of a rule's text there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, grown
from speclight.trees.sampled import SampledGrowth
from speclight.trees.shapes import TopRankGrowth, by_choices, by_level
from speclight.verification.enumeration import enumerate_outcomes

VOCABULARY = 3
SHAPES = {
    "one": by_level([1]),
    "chain": by_level([1, 1, 1]),
    "batch": by_level([3]),
    "fork": by_level([2, 1]),
    "binary": by_level([2, 2]),
    "trident": by_level([3, 1]),
    "irregular": by_choices([(0,), (1,), (0, 0), (0, 1), (0, 0, 0)]),
}
CHAINS = ("one", "chain")


def normalised(weights):
    return weights / weights.sum()


def law_pair(relation: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(target, drafter) [vocab] at one context, random but for the relation named."""
    target, drafter = (normalised(rng.dirichlet(np.ones(VOCABULARY)) + 0.02) for _ in range(2))
    zero = int(rng.integers(VOCABULARY))
    one_hot = np.eye(VOCABULARY)[zero]
    if relation == "zero in target":
        target = normalised(target * (1.0 - one_hot))
    elif relation == "zero in drafter":
        drafter = normalised(drafter * (1.0 - one_hot))
    elif relation == "equal":
        drafter = target
    elif relation == "disjoint":
        target, drafter = one_hot, normalised(drafter * (1.0 - one_hot))
    elif relation == "one-hot drafter":
        drafter = one_hot
    elif relation == "one-hot target":
        target = one_hot
    return target, drafter


RELATIONS = (
    "unrelated",
    "zero in target",
    "zero in drafter",
    "equal",
    "disjoint",
    "one-hot drafter",
    "one-hot target",
)


class TabularPair:
    """Target and drafter laws for every text; the relation between them varies from text to text.

    relations: one of them is chosen at random for each text. Laws are functions of (seed, text).
    """

    def __init__(self, seed: int, relations: tuple[str, ...] = RELATIONS, *, greedy: bool = False) -> None:
        self.seed, self.relations, self.greedy = seed, relations, greedy
        self._pairs: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
        self._text_laws: dict[tuple[tuple[int, ...], int], np.ndarray] = {}

    def _pair(self, text: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        if text not in self._pairs:
            rng = np.random.default_rng([self.seed, len(text), *text])
            target, drafter = law_pair(self.relations[rng.integers(len(self.relations))], rng)
            if self.greedy:
                target = np.eye(VOCABULARY)[target.argmax()]
            self._pairs[text] = (target, drafter)
        return self._pairs[text]

    def target(self, text: tuple[int, ...]) -> np.ndarray:
        return self._pair(text)[0]

    def drafter(self, text: tuple[int, ...]) -> np.ndarray:
        return self._pair(text)[1]

    def text_law(self, text: tuple[int, ...], length: int) -> np.ndarray:
        """[vocab] * length: the target's law of the next `length` tokens after `text`, by the chain rule."""
        if length == 0:
            return np.ones(())
        if (text, length) not in self._text_laws:
            first = self.target(text)
            following = [self.text_law((*text, token), length - 1) for token in range(VOCABULARY)]
            self._text_laws[text, length] = np.stack(
                [chance * law for chance, law in zip(first, following, strict=True)]
            )
        return self._text_laws[text, length]


def candidates(law: np.ndarray) -> CandidateLaw:
    tokens = np.flatnonzero(law)
    return CandidateLaw(tokens, np.log(law[tokens]))


class DraftDraws:
    """Draft noise on top of a verification noise: only for enumeration, where every draw is a fresh one."""

    def __init__(self, noise) -> None:
        self._noise = noise

    def sample(self, law):
        return self._noise.sample(0, law)


def draft(pair: TabularPair, text: tuple[int, ...], shape, kind: str, draws) -> DraftTree:
    """A tree of this shape and kind drafted after `text`; the root's token is 0 and without meaning."""
    if kind == "deterministic":
        growth = TopRankGrowth(0, shape)
    else:
        growth = SampledGrowth(0, shape, VOCABULARY, draws, replacement=kind == "with_replacement")

    def laws(known, nodes):
        return [candidates(pair.drafter((*text, *known.token_path(node)))) for node in nodes]

    return grown(growth, laws).tree


def target_laws(pair: TabularPair, text: tuple[int, ...], tree: DraftTree) -> Callable[[int], np.ndarray]:
    return lambda node: pair.target((*text, *tree.tokens[tree.path(node)[1:]].tolist()))


def drafted_trees(pair: TabularPair, shape, kind: str) -> Iterator[tuple[DraftTree, float]]:
    """Every tree that may be drafted, with its probability."""
    for outcome in enumerate_outcomes(lambda noise: draft(pair, (), shape, kind, DraftDraws(noise))):
        yield outcome.result, outcome.probability


class ExactText:
    """The exact law of the text a rule emits in one call, continued by the target to a fixed length.

    law: [vocab] * (depth of the shape + 1). tokens_per_call: expected number the call itself emits.
    """

    def __init__(self, rule, pair: TabularPair, shape, kind: str, altered=lambda tree: tree) -> None:
        self.length = int(DraftTree(shape.ranks, shape.parents, np.zeros(len(shape))).depths.max()) + 1
        self.law = np.zeros((VOCABULARY,) * self.length)
        self.tokens_per_call = 0.0
        for tree, chance in drafted_trees(pair, shape, kind):
            shown, laws = altered(tree), target_laws(pair, (), tree)
            for outcome in enumerate_outcomes(
                lambda noise, shown=shown, laws=laws: rule.verify(shown, laws, noise)
            ):
                tokens, weight = tuple(outcome.result.tokens(shown)), chance * outcome.probability
                self.law[tokens] += weight * pair.text_law(tokens, self.length - len(tokens))
                self.tokens_per_call += weight * len(tokens)
        self.error = float(np.abs(self.law - pair.text_law((), self.length)).max())
        self.total_variation = 0.5 * float(np.abs(self.law - pair.text_law((), self.length)).sum())


def all_texts(length: int) -> Iterator[tuple[int, ...]]:
    return itertools.product(range(VOCABULARY), repeat=length)
