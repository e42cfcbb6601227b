"""What one target call of a speculative decoder did to one text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.rank_trace import RankTrace
from speclight.decoding.stopping import FinishReason
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import DraftCost, DraftedAhead


@dataclass(frozen=True, slots=True)
class PhaseSeconds:
    """Wall time of one call by phase, seconds: drafting, the target's forward pass, verifying, committing.

    Drafting is what the call waited for: not what was worked out beside the target's pass, but what was still
    under way when that was over.

    What a trace records on request (target log-probabilities, expected tokens, ranks) is not counted.

    Of a call for several texts, each text's trace has an equal share of the target's pass, so that the totals
    of all traces add up to the time taken.
    """

    draft: float
    target: float
    verify: float
    commit: float

    @property
    def total(self) -> float:
        """All phases together."""
        return self.draft + self.target + self.verify + self.commit


@dataclass(frozen=True, slots=True, eq=False)
class CallTrace:
    """One call: what was drafted, what was accepted, what it cost.

    start: tokens committed before the call, the root included. tree: the draft tree scored.
    draft_cost: drafter calls and nodes expanded to grow it. drafted_ahead: what had been worked out for it
    beside the target's call before, which draft_cost leaves out; None if nothing. ahead_seconds: wall time of
    that, hidden behind the target's: not among `seconds`.
    path: accepted nodes, root first (before any cut at end of text or length limit).
    emitted_tokens: tokens the call added to the text; the last one may have cut the path short.
    top_two_margins: [emitted] gap between the two largest logits where each token was decided, processed but
    before temperature (logit units): where it is small, batched and single-row arithmetic may decide
    differently.
    target_log_probs: [nodes] log-probability of each drafted node given its parent under the target's
    processed law (0 at the root), or None when it was not asked for. tokens_by_rule: E[X | tree] of the rule
    over its own coins; None when not asked for, and for drafts that share their noise with the verdict.
    seconds: wall time by phase.
    finish_reason: why the text ends with this call; None if it goes on.
    ranks: [emitted] R of each token where the drafter's law was known, or None when not asked for.
    text_number: which text of those decoded together, from 0. prefill_seconds: in a text's first call, wall
    time of reading its prompt, which comes on top of `seconds`; 0 in later ones.
    """

    start: int
    tree: DraftTree
    draft_cost: DraftCost
    path: IntArray
    emitted_tokens: tuple[int, ...]
    top_two_margins: tuple[float, ...]
    target_log_probs: FloatArray | None
    seconds: PhaseSeconds
    finish_reason: FinishReason | None = None
    text_number: int = 0
    prefill_seconds: float = 0.0
    ranks: tuple[RankTrace | None, ...] | None = None
    tokens_by_rule: float | None = None
    drafted_ahead: DraftedAhead | None = None
    ahead_seconds: float = 0.0

    @property
    def accepted_ranks(self) -> tuple[int, ...]:
        """Rank of each accepted draft among its siblings by the drafter's probability, 0 the most probable.

        Siblings of equal probability stand in the drafter's order. Where the tree left candidates out, it is
        not the rank among all of them.
        """
        ranks: list[int] = []
        for node in self.path[1:].tolist():
            siblings = self.tree.children(int(self.tree.parents[node]))
            order = siblings[np.argsort(-self.tree.log_probs[siblings], kind="stable")]
            ranks.append(int(np.flatnonzero(order == node)[0]))
        return tuple(ranks)

    @property
    def drafter_log_probs(self) -> FloatArray:
        """[nodes] the drafter's log-probability of each node given its parent; 0 at the root."""
        return self.tree.log_probs

    @property
    def tokens_emitted(self) -> int:
        """X: accepted drafts + 1, less what a limit cut off."""
        return len(self.emitted_tokens)

    @property
    def expected_tokens(self) -> float:
        """E[X] of this call under target_sample: the sum over nodes of the target's path probability.

        Exact, whatever drafted the tree (arXiv 2512.11718v1, Lemma 1). Raises InvalidInput if the trace was
        recorded without target_log_probs.
        """
        if self.target_log_probs is None:
            raise InvalidInput(
                "this trace holds no target log-probabilities; decode with record_target_log_probs=True"
            )
        totals = np.zeros(len(self.tree))
        for node in range(1, len(self.tree)):
            totals[node] = totals[self.tree.parents[node]] + self.target_log_probs[node]
        return float(np.exp(totals).sum())

    @property
    def has_branch(self) -> bool:
        """Whether some node of the tree has more than one child."""
        parents = self.tree.parents[1:]
        return len(set(parents.tolist())) < len(parents)
