"""Lookahead decoding: n-grams collected from Jacobi iterations of the target itself."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree

# Guesses kept beyond the last committed token; W = 15 is the window the source recommends for a 7B model.
WINDOW = 15
# Tokens of context an n-gram of the pool is looked up by, longest match first.
LONGEST_CONTEXT = 3
# A guess weighs as much as one observation of a continuation in the pool.
GUESS_COUNT = 1


class LookaheadLaw:
    """The law of what the target was seen to predict, at accepted and at rejected nodes alike.

    Every node a target call scores yields the target's most probable token after that node's path: one step
    of the Jacobi iteration for the path's continuation. Such n-grams fill a pool. Besides, a window of
    guesses for the next positions is iterated: when a call has scored the guesses, each is replaced by what
    the target predicted after the one before it, and the window moves on by the tokens emitted. After a node
    of depth d, possible tokens are those the pool has seen after the longest known context (its last
    LONGEST_CONTEXT tokens or fewer), weighted by counts, and the guess for depth d + 1.

    Source: Fu et al. 2024, "Break the Sequential Dependency of LLM Inference Using Lookahead Decoding" (arXiv
    2402.02057), section 3. Simpler than there: guesses and n-grams share one draft tree and one budget, so
    the window has one row of the newest guesses instead of several rows of past ones, and guesses are only
    iterated as far as the tree takes them in. At temperatures above 0 the pool still holds most probable
    tokens. Without `observe` nothing but the initial guesses is drafted.
    """

    name = "lookahead"
    hidden_layers: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._recent: list[int] = []  # the text's last tokens, the root included
        self._followers: dict[tuple[int, ...], Counter[int]] = {}
        self._guesses: list[int] = []

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter. The first guesses are tokens of the prompt, as in the source."""
        self._recent = token_ids[-LONGEST_CONTEXT:]
        self._followers = defaultdict(Counter)
        self._guesses = [token_ids[place % len(token_ids)] for place in range(WINDOW)]

    @property
    def observes(self) -> bool:
        """See ObservesScores."""
        return True

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """See ObservesScores."""
        before = self._recent[:-1]
        for node, predicted in enumerate(best_tokens.tolist()):
            context = [*before, *tree.tokens[tree.path(node)].tolist()]
            for length in range(1, min(LONGEST_CONTEXT, len(context)) + 1):
                self._followers[tuple(context[-length:])][predicted] += 1
        self._iterate(tree, best_tokens)

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._recent = [*self._recent, *token_ids][-LONGEST_CONTEXT:]
        # Positions the window moves to start from the guesses that left it.
        self._guesses = (self._guesses + self._guesses)[len(token_ids) % WINDOW :][:WINDOW]

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        return [self._law(known, node) for node in nodes]

    def _law(self, known: GrowingTree, node: int) -> CandidateLaw:
        context = self._recent[:-1] + [known.tokens[step] for step in known.path(node)]
        counts: Counter[int] = Counter()
        for length in range(min(LONGEST_CONTEXT, len(context)), 0, -1):
            counts.update(self._followers.get(tuple(context[-length:]), {}))
            if counts:
                break
        depth = known.depths[node]
        if depth < WINDOW:
            counts[self._guesses[depth]] += GUESS_COUNT
        weights = np.array(list(counts.values()), dtype=np.float64)
        return CandidateLaw(np.array(list(counts), dtype=np.int64), np.log(weights / weights.sum()))

    def _iterate(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """One Jacobi step: new guesses from the target's predictions along the old ones."""
        node, old = 0, list(self._guesses)
        for depth in range(WINDOW):
            self._guesses[depth] = int(best_tokens[node])
            following = [child for child in tree.children(node).tolist() if tree.tokens[child] == old[depth]]
            if not following:
                return
            node = following[0]
