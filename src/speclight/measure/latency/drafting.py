"""A drafter's calls timed while it grows real trees after a text, as it would in decoding."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from speclight.drafting.protocol import (
    BorrowsTargetCache,
    GivesBackTargetCache,
    LawSource,
    ObservesScores,
)
from speclight.errors import ContextOverflow
from speclight.measure.latency.calls import Clock
from speclight.measure.latency.level_times import TimedLevel
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree, grown

# Tokens that the target emits between two drafts: the drafter's next first call reads them.
EMITTED = 3


class LevelTimer:
    """Times the calls of a drafter whose best-first trees grow to given budgets, one draft after the other.

    Between drafts the target emits EMITTED tokens of the text, so that each first call has something to
    read. text: committed at first are `context_tokens` of it, the rest is what will be emitted. Raises
    ContextOverflow for a text that does not fit the target's window.
    """

    def __init__(
        self,
        target: CausalLM,
        source: LawSource,
        text: Sequence[int],
        context_tokens: int,
        clock: Clock = time.perf_counter,
    ) -> None:
        if len(text) > target.context_window:
            raise ContextOverflow(
                f"timing a drafter reads {len(text)} tokens, which do not fit {target.window_name}; ask for "
                "shorter contexts, or fewer rounds or node budgets",
                argument="context_tokens",
            )
        self._target, self._source, self._clock = target, source, clock
        self._ahead = list(text[context_tokens:])
        self._scored = ScoredText(target, list(text[:context_tokens]), source.hidden_layers)
        if isinstance(source, BorrowsTargetCache):
            source.borrow(self._scored.cache)
        source.begin(self._scored.token_ids, self._scored.features)

    def draft(self, node_budget: int) -> list[TimedLevel]:
        """Grow one tree and time its calls; then the target goes on."""
        levels: list[TimedLevel] = []

        def timed(known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
            began = self._clock()
            laws = self._source.laws(known, nodes)
            levels.append(TimedLevel(node_budget, len(levels), len(nodes), self._clock() - began))
            return laws

        root = self._scored.token_ids[-1]
        grown(BestFirstGrowth(root, node_budget, self._target.end_of_text), timed)
        if isinstance(self._source, GivesBackTargetCache):
            self._source.give_back()
        self._go_on()
        return levels

    def _go_on(self) -> None:
        """The text's next tokens are emitted by a call that scores them as a chain."""
        emitted, self._ahead = self._ahead[:EMITTED], self._ahead[EMITTED:]
        nodes = len(emitted)
        chain = DraftTree(
            np.array([self._scored.token_ids[-1], *emitted[:-1]]), np.arange(nodes) - 1, np.zeros(nodes)
        )
        logits = self._scored.score(chain)
        if isinstance(self._source, ObservesScores):
            self._source.observe(chain, logits.argmax(dim=1).cpu().numpy())
        self._source.extend(emitted, self._scored.commit(np.arange(nodes), emitted))


def text_needed(context_tokens: int, node_budgets: Sequence[int], rounds: int) -> int:
    """Tokens of the text that so many rounds of drafts, one of each budget, take."""
    return context_tokens + EMITTED * rounds * len(node_budgets)
