"""What one start of a trace holds: the target's best tree there, and what each drafter would have drafted.

Free of torch and Transformers; everything that scores, explains or plans reads these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.measure.text_keys import text_key
from speclight.theory.laws.law_pairs import LawPair


@dataclass(frozen=True, slots=True, eq=False)
class TracedTree:
    """The trees of one drafter at one start laid over each other: each path of each of them once.

    Nodes in order of depth, parents before children; node 0 is the root. tokens, parents, depths: [nodes],
    the root's parent is -1. ranks: [nodes] place among all candidates after the parent by the drafter's
    probability, 0 the most probable; -1 at the root. drafter_log_probs, target_log_probs: [nodes]
    log-probability given the parent, nats, of drafter and target under their processed laws; 0 at the root.
    """

    tokens: IntArray
    parents: IntArray
    depths: IntArray
    ranks: IntArray
    drafter_log_probs: FloatArray
    target_log_probs: FloatArray

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def root(self) -> int:
        """The root's token."""
        return int(self.tokens[0])

    @property
    def drafter_path_log_probs(self) -> FloatArray:
        """[nodes] of the path from the root, under the drafter."""
        return self._along_paths(self.drafter_log_probs)

    @property
    def target_path_log_probs(self) -> FloatArray:
        """[nodes] of the path from the root, under the target: E[X] of a tree is the sum of its exp(.)."""
        return self._along_paths(self.target_log_probs)

    def followed(self, tokens: Sequence[int]) -> BoolArray:
        """[nodes] whether the path to a node is the beginning of these tokens; the root's always is."""
        follows = np.zeros(len(self), dtype=bool)
        follows[0] = True
        for node in range(1, len(self)):
            depth = int(self.depths[node])
            follows[node] = (
                depth <= len(tokens)
                and follows[self.parents[node]]
                and int(self.tokens[node]) == tokens[depth - 1]
            )
        return follows

    def _along_paths(self, log_probs: FloatArray) -> FloatArray:
        totals = np.zeros(len(self))
        for node in range(1, len(self)):
            totals[node] = totals[self.parents[node]] + log_probs[node]
        return totals


@dataclass(frozen=True, slots=True)
class GrowthCost:
    """What growing one tree of at most `node_budget` nodes took.

    calls: batched drafter calls. expanded_nodes: nodes whose law was asked for.
    """

    growth: str
    node_budget: int
    calls: int
    expanded_nodes: int


@dataclass(frozen=True, slots=True)
class SampledValue:
    """Expected tokens of a call with one sampled draft, over all coins of the rule.

    tree: as the command line writes it. noise: number of the draft's noise, from 0.
    """

    rule: str
    tree: str
    node_budget: int
    noise: int
    expected_tokens: float


@dataclass(frozen=True, slots=True, eq=False)
class TracedDrafter:
    """One drafter at one start.

    costs: of each growth at each budget of the trace. coupling: [chain lengths] min(1, Q/P) of the text's
    next 1, 2, ... tokens: 1 + the sum of the first K is the most that any lossless rule reaches with a chain
    of K (docs/theory/drafter.md). sampled: empty unless asked for. ahead: [chain lengths] log-probability of
    each of those tokens under the drafter, those before it being one draft, nats; -inf: cannot be drafted.
    laws: both laws at the start in numbers. Those two are None unless drafters' laws were asked for.
    """

    tree: TracedTree
    costs: tuple[GrowthCost, ...]
    coupling: FloatArray
    sampled: tuple[SampledValue, ...] = ()
    ahead: FloatArray | None = None
    laws: LawPair | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TracedStart:
    """One start of a call. start: index, in the sampled text, of the first token that the call would emit.

    prompt_id, family, sample, turn: of the text. window: number of the run of neighbouring starts that this
    one is in, within its text. following: the text's tokens from the start on, as far as the largest budget
    reaches. best: [nodes] log-probabilities under the target of the nodes of the target's own best tree,
    falling, the root's 0; best_depths: of the same nodes. drafters: by name. search_calls: calls that the
    search of the best tree took, None in traces of schema 1. hidden: log-probability that no node exceeds
    which a server did not show; -inf if the search is exact, as it always is without a server.
    """

    prompt_id: str
    family: str
    sample: int
    turn: int
    start: int
    window: int
    following: tuple[int, ...]
    best: FloatArray
    best_depths: IntArray
    drafters: Mapping[str, TracedDrafter]
    search_calls: int | None = None
    hidden: float = -inf

    @property
    def key(self) -> tuple[str | int, ...]:
        """The key of the text, as `ProfiledText.key`."""
        return text_key(self.prompt_id, self.sample, self.turn)

    def best_tokens(self, node_budget: int) -> float:
        """E[X] of the best tree of `node_budget` nodes: exact, by Lemma 1 and prefix sums."""
        return float(np.exp(self.best[:node_budget]).sum())
