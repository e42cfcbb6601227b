"""A drafter that cannot harm: whatever goes wrong in it costs speed, never the text."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.drafting.protocol import (
    BorrowsTargetCache,
    Drafter,
    DraftNoise,
    DraftsAhead,
    KeepsPace,
    ObservesScores,
)
from speclight.errors import InvalidInput, SpeclightError
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree, root_only
from speclight.trees.growing_tree import Draft, DraftCost
from speclight.trees.paced_growth import NodeWorth

# What a computation raises when it goes wrong (torch's own errors are RuntimeErrors). An interrupt, or an
# exception of the drafter's own invention, is passed on: that stops decoding, it does not change the text.
FAILURES = (
    SpeclightError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# A law over a large vocabulary, computed in float32 by somebody else's drafter, misses 1 by up to 1e-6.
SUM_ATOL = 1e-5


class DraftingFailed(UserWarning):
    """A drafter failed; the call was decoded without a draft."""


class GuardedDrafter:
    """Passes everything on to `drafter`, checks its trees, and drafts nothing where it fails.

    A failed or unusable draft is replaced by the root alone for that call, with a DraftingFailed warning; a
    drafter that fails to take in the text is not asked again until the next text. Checked of a tree: size
    within the budget, root, tokens within the vocabulary, and of sampled trees that the recorded laws are
    laws over the vocabulary and give each drawn token a chance. What cannot be checked is that samples were
    really drawn from the laws recorded.

    vocabulary_size: the target's.
    """

    def __init__(self, drafter: Drafter, vocabulary_size: int) -> None:
        self.name = drafter.name
        self.hidden_layers = drafter.hidden_layers
        self._drafter = drafter
        self._vocabulary_size = vocabulary_size
        # What it can is asked once: the question takes longer than many an answer.
        self._observing = drafter if isinstance(drafter, ObservesScores) else None
        self._pacing = drafter if isinstance(drafter, KeepsPace) else None
        self._last = 0
        self._is_usable = True

    def borrow(self, cache: PathCache) -> None:
        """See BorrowsTargetCache."""
        if isinstance(self._drafter, BorrowsTargetCache):
            self._drafter.borrow(cache)

    @property
    def grows(self) -> bool:
        """See KeepsPace."""
        return self._pacing is not None and self._pacing.grows

    def keep_pace(self, worth: NodeWorth | None) -> None:
        """See KeepsPace."""
        if self._pacing is not None:
            self._pacing.keep_pace(worth)

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        self._is_usable = True
        try:
            self._drafter.begin(token_ids, features)
        except FAILURES as error:
            self._give_up("could not read the prompt", error)

    def propose(self, node_budget: int, noise: DraftNoise) -> Draft:
        """See Drafter."""
        if self._is_usable and node_budget > 1:  # of a tree of one node there is nothing to ask
            try:
                draft = self._drafter.propose(node_budget, noise)
                check_tree(draft.tree, self._last, node_budget, self._vocabulary_size)
                return draft
            except FAILURES as error:
                self._warn("gave no usable draft; this call is decoded plainly", error)
        return Draft(root_only(self._last), DraftCost(calls=0, expanded_nodes=0))

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See Drafter."""
        self._last = token_ids[-1]
        if self._is_usable:
            try:
                self._drafter.extend(token_ids, features)
            except FAILURES as error:
                self._give_up("could not take in the emitted tokens", error)

    @property
    def drafts_ahead(self) -> bool:
        """See DraftsAhead."""
        return isinstance(self._drafter, DraftsAhead) and self._drafter.drafts_ahead

    def draft_ahead(self) -> bool:
        """See DraftsAhead."""
        if self._is_usable and isinstance(self._drafter, DraftsAhead):
            try:
                return self._drafter.draft_ahead()
            except FAILURES as error:
                self._warn("could not draft ahead; the next draft starts from nothing", error)
        return False

    @property
    def observes(self) -> bool:
        """See ObservesScores."""
        return self._observing is not None and self._observing.observes

    def observe(self, tree: DraftTree, best_tokens: IntArray) -> None:
        """See ObservesScores."""
        if self._is_usable and self._observing is not None:
            try:
                self._observing.observe(tree, best_tokens)
            except FAILURES as error:
                self._give_up("could not take in the target's scores", error)

    def _give_up(self, what: str, error: Exception) -> None:
        self._is_usable = False
        self._warn(f"{what}; the rest of this text is decoded plainly", error)

    def _warn(self, what: str, error: Exception) -> None:
        warnings.warn(
            f"drafter {self.name!r} {what} ({type(error).__name__}: {error})", DraftingFailed, stacklevel=3
        )


def check_tree(tree: DraftTree, root_token: int, node_budget: int, vocabulary_size: int) -> None:
    """Raise InvalidInput for a tree that must not reach the target or the rule."""
    if not isinstance(tree, DraftTree):
        raise InvalidInput(f"got a {type(tree).__name__}, expected a DraftTree")
    if len(tree) > node_budget:
        raise InvalidInput(f"got a tree of {len(tree)} nodes, expected at most the node budget {node_budget}")
    if tree.tokens[0] != root_token:
        raise InvalidInput(f"got the root {tree.tokens[0]}, expected the last committed token {root_token}")
    if tree.tokens.max() >= vocabulary_size:
        raise InvalidInput(
            f"got token {tree.tokens.max()}, expected ids of the target's vocabulary, "
            f"0..{vocabulary_size - 1}; map the drafter's tokens (drafting/vocabulary.py)"
        )
    for node, sample in enumerate(tree.samples or ()):
        if sample is not None:
            _check_sampled_law(node, sample.law, tree.tokens[sample.draws], vocabulary_size)


def _check_sampled_law(node: int, law: FloatArray, drawn: IntArray, vocabulary_size: int) -> None:
    if law.shape != (vocabulary_size,):
        raise InvalidInput(f"node {node}: got a law of shape {law.shape}, expected ({vocabulary_size},)")
    if not (law >= 0.0).all() or not abs(law.sum() - 1.0) < SUM_ATOL:  # also catches NaN
        raise InvalidInput(
            f"node {node}: got a law with minimum {law.min()} and sum {law.sum()}, expected probabilities; "
            "verification would emit wrong text from it"
        )
    if (law[np.unique(drawn)] == 0.0).any():
        raise InvalidInput(f"node {node}: got a drawn token of probability 0 under the law it was drawn from")
