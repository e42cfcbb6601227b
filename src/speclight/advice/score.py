"""Every configuration of a trace judged without a model: expected tokens per call, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.configuration import Configuration
from speclight.advice.start_set import StartSet, start_set
from speclight.advice.traced_calls import Choice, TracedCalls, traced_calls
from speclight.arrays import FloatArray
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.measure.estimates import Estimate, within
from speclight.measure.trace.traced import TracedStart

ALL = Choice()
CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Score:
    """What one configuration gets, with 95% intervals clustered by prompt.

    uniform: E[X], tokens per call at uniform positions of the text. decode: X̄ of a decode, whose calls start
    where the last one ended (`call_starts`); None where the trace cannot tell. best_tree: of the target's
    own best trees of P nodes, at the same starts with the same weights; share: tokens per call over that.
    coupling: the most that any lossless rule reaches with the drafter's chain of P - 1, at those starts; None
    for what is no chain. nodes: scored in one target call, root included. draft_calls, draft_nodes: batched
    drafter calls and nodes whose law was asked for, per call; None if the trace does not hold them.
    """

    configuration: Configuration
    uniform: Estimate
    decode: Estimate | None
    best_tree: float
    share: Estimate
    coupling: float | None
    nodes: float
    draft_calls: float | None
    draft_nodes: float | None

    @property
    def tokens_per_call(self) -> Estimate:
        """Of a decode where that is known, else at uniform starts."""
        return self.uniform if self.decode is None else self.decode


def score(starts: Sequence[TracedStart], rule: str, choice: Choice = ALL) -> tuple[Score, ...]:
    """All configurations chosen, the most tokens per call first, plain decoding among them.

    rule: that deterministic trees are verified with, `greedy` at temperature 0 and else `target_sample`. The
    expectation given a context is exact (Lemma 1 of arXiv 2512.11718v1; samples and races: enumerated by the
    trace), so that intervals are about texts alone. Raises InvalidInput for a choice that the trace does not
    hold, and for a trace without starts.
    """
    together = start_set(starts)
    return ranked(
        [
            _plain(together),
            *(found for calls in traced_calls(together, rule, choice) for found in _scores(together, calls)),
        ]
    )


def ranked(scores: Iterable[Score]) -> tuple[Score, ...]:
    """The most tokens per call first; of equal ones the cheaper."""
    return tuple(
        sorted(
            scores, key=lambda found: (-found.tokens_per_call.value, found.nodes, found.draft_calls or 0.0)
        )
    )


def scored_nodes(found: Score) -> float:
    """The cost of a call as nodes of the target."""
    return found.nodes


def frontier(scores: Iterable[Score], cost: Callable[[Score], float] = scored_nodes) -> tuple[Score, ...]:
    """The scores that no other one of the same cost or less beats in tokens per call, rising in cost."""
    kept: list[Score] = []
    for found in sorted(scores, key=lambda found: (cost(found), -found.tokens_per_call.value)):
        if not kept or found.tokens_per_call.value > kept[-1].tokens_per_call.value:
            kept.append(found)
    return tuple(kept)


def _plain(starts: StartSet) -> Score:
    one = starts.by_prompt(np.ones(len(starts)))
    certain = starts.ratio(one, one)
    return Score(
        Configuration(NO_DRAFTER, "none", "none", 1), certain, certain, 1.0, certain, None, 1.0, 0.0, 0.0
    )


def _scores(starts: StartSet, calls: TracedCalls) -> Iterator[Score]:
    best = starts.best_tokens[:, np.array(calls.node_budgets) - 1]
    weights, tokens, costs = calls.weights, calls.expected_tokens, calls.costs
    ones = starts.by_prompt(np.ones_like(tokens))
    uniform, weighted = starts.by_prompt(tokens), starts.by_prompt(weights * tokens)
    total, best_total = starts.by_prompt(weights), starts.by_prompt(weights * best)

    def mean(values: FloatArray) -> list[float]:
        return ((weights * values).sum(axis=0) / weights.sum(axis=0)).tolist()

    best_trees, nodes = mean(best), mean(calls.sizes)
    draft_calls, draft_nodes = (None, None) if costs is None else (mean(costs.calls), mean(costs.nodes))
    for place, budget in enumerate(calls.node_budgets):
        possible = (1.0, float(budget))
        decode = None
        if calls.visits is not None:
            decode = within(starts.ratio(weighted[:, place], total[:, place]), *possible)
        yield Score(
            configuration=Configuration(calls.drafter, calls.growth, calls.rule, budget),
            uniform=within(starts.ratio(uniform[:, place], ones[:, place]), *possible),
            decode=decode,
            best_tree=best_trees[place],
            share=within(starts.ratio(weighted[:, place], best_total[:, place]), 0.0, 1.0),
            coupling=_coupling(starts, calls, place) if calls.growth == CHAIN else None,
            nodes=nodes[place],
            draft_calls=None if draft_calls is None else draft_calls[place],
            draft_nodes=None if draft_nodes is None else draft_nodes[place],
        )


def _coupling(starts: StartSet, calls: TracedCalls, place: int) -> float | None:
    """1 + the mean sum of the first P - 1 of min(1, Q/P) along the text, where the text is as long.

    None where no start was traced so far ahead.
    """
    drafted = calls.node_budgets[place] - 1
    values = [start.drafters[calls.drafter].coupling for start in starts.starts]
    long_enough = np.array([len(value) >= drafted for value in values])
    weights = calls.weights[long_enough, place]
    if weights.sum() == 0.0:
        return None
    sums = np.array([value[:drafted].sum() for value in values if len(value) >= drafted])
    return 1.0 + float(weights @ sums / weights.sum())
