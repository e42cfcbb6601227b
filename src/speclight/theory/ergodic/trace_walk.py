"""The trace walk: a decode with one threshold for all its trees, read off texts sampled without one.

Every call holds the tree of all nodes with V <= t and depth < P. Along a sampled text the call ends where the
text leaves that tree, and the next one starts there: so the walk visits starts as a decoder does, which
uniform positions do not. The threshold is self-consistent: the trees hold P nodes on average over the walk's
own calls, their mean size being that of Y = sum_{j<X} e^(S_j) along them (many-to-one). The threshold t_P of
uniform starts would give other sizes, because calls end at surprises and start behind them.

Ours. Tokens over calls is an estimate, never a bound. It is what a decode attains that meets its budget on
average, and such a decode may lie above every decode whose trees all hold at most P nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, log

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bisection import increasing_root
from speclight.theory.bound import check_node_budget
from speclight.theory.compiled import compiled
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.ergodic.decode import DecodeBound
from speclight.theory.ergodic.segments import TextArrays, text_arrays
from speclight.theory.ergodic.spine_sums import ATOM_ATOL
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, usable_starts


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TraceWalk:
    """What the decode with one threshold for all its trees reaches on the texts.

    tokens_per_call: E[X] over the walk's calls that begin at usable starts, so that none is cut short.
    held: tokens of all texts over all calls, those included that a length limit cut: what a decode held to
    the texts' limits counts, and what `DecodeBound.held` bounds. standard_error: of either, clustered by
    prompt, the threshold's own error included; NaN for one prompt. threshold: t, nats, infinite where trees
    of all nodes of depth < P stay below P on average. keep_at_atom: probability that a call's tree holds its
    nodes with V = t exactly. tree_size: their mean over the calls at usable starts: P, or less at an
    infinite threshold. calls, tokens: expected totals at usable starts. start_law: of the walk's calls.
    priced_calls: [prompts] all calls, each with its Y - P at the price of a node, for paired comparisons.
    """

    node_budget: int
    tokens_per_call: float
    held: float
    standard_error: float
    threshold: float
    keep_at_atom: float
    tree_size: float
    calls: float
    tokens: float
    start_law: StartLaw
    priced_calls: FloatArray


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """value of a ratio whose two terms come from the same prompts. standard_error: NaN for one prompt."""

    value: float
    standard_error: float


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Per position: visits, and of a call that starts there its expected tokens and expected Y."""

    visits: FloatArray
    tokens: FloatArray
    sizes: FloatArray


def trace_walk(texts: Sequence[SampledText], node_budget: int) -> TraceWalk:
    """Walk every text from its first position with the threshold at which its own trees hold P on average.

    Nodes at the threshold exactly belong to a call's tree with probability keep_at_atom; both branches are
    followed with their probabilities. Raises InvalidInput if no start is usable at the node budget.
    """
    budget = check_node_budget(node_budget)
    kept = [text for text in texts if len(text)]
    arrays = text_arrays(kept)
    usable = _usable(kept, arrays, budget)
    nodes = arrays.tokens.astype(np.int64) - np.array([text.ended for text in kept])

    def walked(threshold: float, keep: float) -> _Steps:
        size = arrays.growth.shape
        steps = _Steps(np.zeros(size), np.ones(size), np.ones(size))
        below, upto = exp(threshold - ATOM_ATOL), exp(threshold + ATOM_ATOL)
        texts_of = arrays.growth, arrays.begins, nodes
        compiled(_walk_texts)(*texts_of, budget, below, upto, keep, steps.visits, steps.tokens, steps.sizes)
        return steps

    def surplus(threshold: float, keep: float) -> float:
        found = walked(threshold, keep)
        calls = found.visits * usable
        return float((calls * (found.sizes - budget)).sum())

    threshold, keep = _self_consistent(surplus, budget, len(arrays.growth))
    return _totals(texts, arrays, usable, walked(threshold, keep), budget, threshold, keep)


def walk_visits(texts: TextArrays, nodes: IntArray, depth: int, rarest: float) -> FloatArray:
    """[tokens] 1 where a call begins in the decode whose trees are {P(v) > rarest, depth <= `depth`}.

    nodes: [texts] leading tokens of each text that can be nodes: all but the end of text.
    """
    size = texts.growth.shape
    visits, upto = np.zeros(size), (1.0 - ATOM_ATOL) / rarest
    compiled(_walk_texts)(
        texts.growth, texts.begins, nodes, depth + 1, upto, upto, 1.0, visits, np.zeros(size), np.zeros(size)
    )
    return visits


def over_walk(bound: DecodeBound, walk: TraceWalk) -> PairedRatio:
    """`bound.held` over `walk.held` from the same texts: >= 1 but for the cross-fitting of the bound.

    Raises InvalidInput if they are of different prompts or budgets.
    """
    if bound.node_budget != walk.node_budget or bound.costs.shape != walk.priced_calls.shape:
        raise InvalidInput(
            f"bound and walk must come from the same texts at one budget, got {len(bound.costs)} prompts at "
            f"P = {bound.node_budget} and {len(walk.priced_calls)} at P = {walk.node_budget}"
        )
    return PairedRatio(bound.held.value / walk.held, ratio_standard_error(walk.priced_calls, bound.costs))


def _usable(texts: Sequence[SampledText], arrays: TextArrays, budget: int) -> BoolArray:
    limits = np.repeat([usable_starts(text, budget) for text in texts], np.diff(arrays.begins))
    usable = arrays.places < limits
    if not usable.any():
        raise InvalidInput(
            f"no start has the {budget - 1} further tokens that node budget {budget} needs; sample longer "
            "texts or lower the budget"
        )
    return usable


def _self_consistent(
    surplus: Callable[[float, float], float], budget: int, tokens: int
) -> tuple[float, float]:
    """Threshold and share of its atom at which the mean tree holds P nodes."""
    # One node at this V outweighs the budget of all calls together.
    largest = log(budget * tokens) + 1.0
    if surplus(largest, 1.0) < 0.0:
        return inf, 1.0
    threshold = increasing_root(lambda t: surplus(t, 1.0), 0.0, largest, ATOM_ATOL / 2.0)
    return threshold, increasing_root(lambda keep: surplus(threshold, keep), 0.0, 1.0)


def _totals(
    texts: Sequence[SampledText],
    arrays: TextArrays,
    usable: BoolArray,
    found: _Steps,
    budget: int,
    threshold: float,
    keep: float,
) -> TraceWalk:
    def by_prompt(values: FloatArray) -> FloatArray:
        return arrays.by_prompt(np.add.reduceat(values, arrays.begins[:-1]))

    calls, tokens = found.visits * usable, found.visits * found.tokens * usable
    per_call = float(tokens.sum() / calls.sum())
    # A node more in every tree adds e^-t tokens a call, which saves e^-t/E[X] calls: its price in calls.
    surplus = found.visits * (found.sizes - budget) * exp(-threshold) / per_call
    lengths = [len(text) for text in texts]
    return TraceWalk(
        node_budget=budget,
        tokens_per_call=per_call,
        held=len(arrays.growth) / float(found.visits.sum()),
        standard_error=ratio_standard_error(by_prompt(tokens), by_prompt(calls + surplus * usable)),
        threshold=threshold,
        keep_at_atom=keep,
        tree_size=float((calls * found.sizes).sum() / calls.sum()),
        calls=float(calls.sum()),
        tokens=float(tokens.sum()),
        start_law=StartLaw("call starts", tuple(np.split(calls, np.cumsum(lengths)[:-1]))),
        priced_calls=by_prompt(found.visits + surplus),
    )


def _walk_texts(
    growth: FloatArray,
    begins: IntArray,
    nodes: IntArray,
    budget: int,
    below: float,
    upto: float,
    keep: float,
    visits: FloatArray,
    tokens: FloatArray,
    sizes: FloatArray,
) -> None:
    """Fill visits, tokens and sizes [tokens]. below, upto: e^t just below and just above the threshold.

    nodes: [texts] leading tokens of each text that can be nodes: all but the end of text.
    """
    for text in range(len(begins) - 1):
        first, behind, last = begins[text], begins[text + 1], begins[text] + nodes[text]
        visits[first] = 1.0
        for start in range(first, behind):
            if visits[start] == 0.0:
                continue
            # The root is in every tree; further nodes while they stand at or below the threshold.
            short, short_size, long, long_size, weight = 1, 1.0, 1, 1.0, 1.0
            for depth in range(1, min(budget, last - start + 1)):
                weight *= growth[start + depth - 1]
                if weight > upto:
                    break
                long, long_size = depth + 1, long_size + weight
                if weight <= below:
                    short, short_size = long, long_size
            # A call may reach beyond a cut; what it emits there is not seen.
            tokens[start] = (1.0 - keep) * short + keep * long
            sizes[start] = (1.0 - keep) * short_size + keep * long_size
            if start + short < behind:
                visits[start + short] += visits[start] * (1.0 - keep)
            if start + long < behind:
                visits[start + long] += visits[start] * keep
