"""How long one call of a target takes on this machine, by the size of its tree and of its context."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText
from speclight.theory.ergodic.least_cost import SizeCosts
from speclight.trees.draft_tree import DraftTree


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds of a target call, the forward pass alone: nothing of drafting, sampling or verifying.

    sizes: nodes of the tree, root included, increasing. seconds: of each, median over the rounds, at a
    context of `context_tokens`. seconds_per_context_token: what each token of context beyond that adds,
    whatever the size: the least of what was seen.
    """

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    context_tokens: int
    seconds_per_context_token: float

    def by_size(self) -> SizeCosts:
        """The times as costs of a call, by tree size, for limits in seconds."""
        return SizeCosts(np.array(self.sizes), np.array(self.seconds))


def measure_call_times(
    model: CausalLM,
    short: Sequence[int],
    long: Sequence[int],
    sizes: Sequence[int],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> CallTimes:
    """Time calls with trees of the given sizes after two texts, a short and a longer one.

    The trees are chains, the cheapest shape there is. Sizes and texts take turns in every round, so that a
    machine that is slower for a while is slower for all of them; a first round is not counted. clock: in
    seconds. Raises InvalidInput unless `long` is the longer one, sizes increase from at least 1, and
    rounds >= 1; ContextOverflow for texts that leave no room for the largest tree.
    """
    if not 0 < len(short) < len(long) or rounds < 1 or not sizes or sizes[0] < 1:
        raise InvalidInput(
            f"call times need a text and a longer one, sizes >= 1 and a round, got texts of {len(short)} and "
            f"{len(long)} tokens, sizes {list(sizes)} and {rounds} rounds"
        )
    texts = [ScoredText(model, list(token_ids)) for token_ids in (short, long)]
    taken = np.zeros((rounds + 1, len(texts), len(sizes)))
    for number in range(rounds + 1):
        for place, text in enumerate(texts):
            for order, size in enumerate(sizes):
                taken[number, place, order] = _seconds(text, size, clock)
    return _call_times(np.median(taken[1:], axis=0), sizes, len(short), len(long))


def _call_times(medians: FloatArray, sizes: Sequence[int], short: int, long: int) -> CallTimes:
    """Call times from their medians, [texts, sizes], the shorter text first."""
    growth = float((medians[1] - medians[0]).min()) / (long - short)
    return CallTimes(tuple(sizes), tuple(medians[0].tolist()), short, max(growth, 0.0))


def _seconds(text: ScoredText, size: int, clock: Callable[[], float]) -> float:
    chain = DraftTree(np.full(size, text.token_ids[-1]), np.arange(size) - 1, np.zeros(size))
    began = clock()
    text.score(chain)[0, 0].item()  # an accelerator has finished once a number arrives
    seconds = clock() - began
    text.continue_with(text.token_ids)  # forget the chain
    return seconds
