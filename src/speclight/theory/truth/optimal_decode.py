"""The best decode of a small tabular source over all draft trees: the truth behind decode-level bounds.

In a tabular source the next state follows from state and token, so a decode is a Markov decision problem: in
each state choose a tree, emit the path on which the text leaves it and one more token, go on from there. The
best tree of n nodes below a state spreads n - 1 nodes over the tokens; solved node by node, that is a search
of every tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.sources import TokenSource, stationary_law

# Policies whose gains differ by less are equal but for rounding.
GAIN_ATOL = 1e-12


@dataclass(frozen=True, slots=True)
class HeldDecode:
    """The decode that makes the fewest calls under a length limit.

    calls, tokens: its exact means per text.
    """

    calls: float
    tokens: float


def fewest_calls(source: TokenSource, node_budget: int, length_limit: int) -> HeldDecode:
    """Backward induction over (state, tokens left), every tree of at most P nodes in each.

    The text stops at end of text or after length_limit tokens; tokens beyond the limit are dropped and the
    call that reached it counts. Raises InvalidInput unless the source is tabular.
    """
    laws, following = _table(source)
    states, vocabulary = laws.shape
    calls = np.zeros((length_limit + 1, states))
    tokens = np.zeros((length_limit + 1, states))
    # inside[n]: expected further calls where a node of that state is in the tree with n - 1 nodes below it.
    inside = np.zeros((node_budget + 1, states))
    for left in range(1, length_limit + 1):
        values = np.zeros((node_budget + 1, states))
        for state in range(states):
            spread = np.full(node_budget, np.inf)  # [nodes below] least cost over the tokens seen so far
            spread[0] = 0.0
            tokens[left, state] = 1.0
            for token in range(vocabulary):
                chance, then = laws[state, token], following[state, token]
                if token == source.end_of_text:
                    continue
                tokens[left, state] += chance * tokens[left - 1, then]
                outside = calls[left - 1, then]
                below = chance * np.concatenate([[outside], inside[1:node_budget, then]])
                spread = np.array([(spread[: n + 1] + below[n::-1]).min() for n in range(node_budget)])
            values[1:, state] = np.minimum.accumulate(spread)
        calls[left] = 1.0 + values[node_budget]
        inside = values
    return HeldDecode(float(source.start @ calls[-1]), float(source.start @ tokens[-1]))


def fewest_calls_of_chains(source: TokenSource, drafted: int, length_limit: int) -> HeldDecode:
    """As `fewest_calls`, over chains of at most `drafted` tokens instead of trees.

    Raises InvalidInput unless the source is tabular, without end of text.
    """
    laws, following = _table(source)
    if source.end_of_text is not None:
        raise InvalidInput("texts of this source end; expected one whose texts all reach the length limit")
    calls = np.zeros(len(laws))
    # inside[k]: expected further calls where a node of that state is drafted, with up to k more below it.
    inside = np.zeros((drafted + 1, len(laws)))
    for _ in range(length_limit):
        outside = calls[following]  # [states, vocabulary]
        ends = (laws * outside).sum(axis=1)
        going_on = ends + (laws * (inside[:-1, following] - outside)).min(axis=-1)
        inside = np.vstack([ends, np.minimum(ends, going_on)])
        calls = 1.0 + inside[-1]
    return HeldDecode(float(source.start @ calls), float(length_limit))


def best_long_run(source: TokenSource, node_budget: int) -> float:
    """Most tokens per call in the long run, by policy iteration over all trees of at most P nodes.

    Howard's algorithm for calls per token rho: a policy is worth W(s) = 1 - rho E X(s) + E W(s'), W(0) = 0;
    improve each state's tree for these values until rho stops falling. Raises InvalidInput unless the source
    is tabular, without end of text.
    """
    laws, following = _table(source)
    if source.end_of_text is not None:
        raise InvalidInput("texts of this source end: it has no long run; use `fewest_calls`")
    states = len(laws)
    emitted, leaving = np.ones(states), np.zeros((states, states))
    np.add.at(leaving, (np.arange(states)[:, None], following), laws)  # begin with trees of the root alone
    rho = 1.0
    while True:
        values = _relative_values(emitted, leaving, rho)
        emitted, leaving = _improved(laws, following, node_budget, values, rho)
        visits = stationary_law(leaving)
        better = float(1.0 / (visits @ emitted))
        if better > rho - GAIN_ATOL:
            return 1.0 / rho
        rho = better


def oracle_long_run(source: TokenSource, node_budget: int) -> float:
    """Tokens per call in the long run of the decode that holds the best tree of P nodes at every call.

    Every call alone is the best one; the decode need not be, since it does not choose where it starts.
    Raises InvalidInput unless the source is tabular.
    """
    laws, following = _table(source)
    states = len(laws)
    emitted, leaving = np.zeros(states), np.zeros((states, states))
    for state in range(states):
        best = best_tree(source, state, node_budget)
        emitted[state] = best.tokens_per_call[-1]
        at = np.full(len(best.tree), state)
        for node in range(1, len(best.tree)):
            at[node] = following[at[best.tree.parents[node]], best.tree.tokens[node]]
        for node in range(len(best.tree)):
            outside = np.ones(laws.shape[1], dtype=bool)
            outside[best.tree.tokens[best.tree.children(node)]] = False
            chances = best.path_probs[node] * laws[at[node], outside]
            np.add.at(leaving[state], following[at[node], outside], chances)
    return float(stationary_law(leaving) @ emitted)


def _table(source: TokenSource) -> tuple[FloatArray, IntArray]:
    """Laws [states, vocabulary] and following [states, vocabulary], the next state."""
    if source.laws.shape[1] != 1 or not np.isin(source.next_type, (0.0, 1.0)).all():
        raise InvalidInput(
            f"source {source.name} draws its laws at random; expected one law per state and a next state "
            "fixed by the token"
        )
    return source.laws[:, 0], source.next_type.argmax(axis=-1).astype(np.int64)


def _relative_values(emitted: FloatArray, leaving: FloatArray, rho: float) -> FloatArray:
    """[states] W with W(0) = 0 and W = 1 - rho E X + leaving W, for the rho of this very policy."""
    states = len(emitted)
    equations = np.vstack([np.eye(states) - leaving, np.eye(states)[0]])
    solution, *_ = np.linalg.lstsq(equations, np.append(1.0 - rho * emitted, 0.0))
    return solution.astype(np.float64)


def _improved(
    laws: FloatArray, following: IntArray, node_budget: int, values: FloatArray, rho: float
) -> tuple[FloatArray, FloatArray]:
    """E X [states] and law of the next call's state [states, states] of the best trees for these values."""
    states, vocabulary = laws.shape

    @cache
    def node(state: int, nodes: int) -> tuple[float, float, tuple[float, ...]]:
        """Worth, tokens and leaving law from a node in the tree on, with the best `nodes` - 1 nodes below."""
        if nodes == 0:
            return float(values[state]), 0.0, tuple(np.eye(states)[state])
        spread: list[tuple[float, float, FloatArray]] = [(-rho, 1.0, np.zeros(states))]
        for token in range(vocabulary):
            chance, then = laws[state, token], int(following[state, token])
            options = [node(then, below) for below in range(nodes)]
            spread = [
                min(
                    (
                        (
                            spread[n - b][0] + chance * options[b][0],
                            spread[n - b][1] + chance * options[b][1],
                            spread[n - b][2] + chance * np.array(options[b][2]),
                        )
                        for b in range(n + 1)
                        if n - b < len(spread)
                    ),
                    key=lambda option: option[0],
                )
                for n in range(nodes)
            ]
        worth, tokens, leaving = min(spread, key=lambda option: option[0])
        return worth, tokens, tuple(leaving)

    best = [node(state, node_budget) for state in range(states)]
    return np.array([b[1] for b in best]), np.array([b[2] for b in best])
