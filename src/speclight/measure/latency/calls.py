"""Target calls timed in turn: one tree size after the other, at every context, round after round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import ContextOverflow, InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import DraftTree

Clock = Callable[[], float]
"""Seconds since some moment."""


class CallTimer:
    """Times calls of a target with trees of given sizes, after given texts: the forward pass alone.

    The trees are chains, the cheapest shape there is to make: how long a pass takes does not depend on it.
    texts: token ids, by increasing length. batch_sizes: how many texts a call holds, each the same one with
    a tree of its own. Raises InvalidInput for texts and sizes that do not increase, ContextOverflow where
    the largest tree does not fit behind the longest text.
    """

    def __init__(
        self,
        model: CausalLM,
        texts: Sequence[Sequence[int]],
        node_budgets: Sequence[int],
        batch_sizes: Sequence[int] = (1,),
        clock: Clock = time.perf_counter,
    ) -> None:
        self.context_tokens = tuple(map(len, texts))
        self.node_budgets, self.batch_sizes = tuple(node_budgets), tuple(batch_sizes)
        for what, counts in (
            ("texts of increasing length", self.context_tokens),
            ("increasing node budgets", self.node_budgets),
            ("increasing batch sizes", self.batch_sizes),
        ):
            if not counts or counts[0] < 1 or any(np.diff(counts) <= 0):
                raise InvalidInput(f"timing calls needs {what}, from 1 on, got {list(counts)}")
        longest, largest = self.context_tokens[-1], self.node_budgets[-1]
        if longest + largest > model.context_window:
            raise ContextOverflow(
                f"a tree of {largest} nodes after {longest} tokens does not fit {model.window_name}; ask for "
                f"contexts of at most {model.context_window - largest} tokens",
                argument="context_tokens",
            )
        self._clock = clock
        self._texts = [
            [ScoredText(model, list(token_ids)) for _ in range(self.batch_sizes[-1])] for token_ids in texts
        ]
        self._rounds = 0

    def round(self) -> FloatArray:
        """[batch sizes, contexts, sizes] seconds of one call each, in the order opposite to the last round.

        What slows the machine for a while then meets all of them, and a steady drift cancels.
        """
        taken = np.zeros((len(self.batch_sizes), len(self.context_tokens), len(self.node_budgets)))
        places = list(np.ndindex(taken.shape))
        for place in places if self._rounds % 2 == 0 else reversed(places):
            batch, context, size = place
            texts = self._texts[context][: self.batch_sizes[batch]]
            taken[place] = self._seconds(texts, self.node_budgets[size])
        self._rounds += 1
        return taken

    def _seconds(self, texts: list[ScoredText], size: int) -> float:
        trees = [
            DraftTree(np.full(size, t.token_ids[-1]), np.arange(size) - 1, np.zeros(size)) for t in texts
        ]
        began = self._clock()
        score_together(texts, trees)[0][0, 0].item()  # an accelerator has finished once a number arrives
        seconds = self._clock() - began
        for text in texts:
            text.continue_with(text.token_ids)  # forget the chain
        return seconds


def time_calls(timer: CallTimer, rounds: int, warm_up: int = 1) -> FloatArray:
    """[rounds, batch sizes, contexts, sizes] seconds; the rounds of the warm-up are not counted.

    Raises InvalidInput for less than one round of each: buffers are made when a size is met first.
    """
    if rounds < 1 or warm_up < 1:
        raise InvalidInput(f"timing calls needs a round and one to warm up, got {rounds} and {warm_up}")
    return np.stack([timer.round() for _ in range(warm_up + rounds)][warm_up:])
