"""The self-consistent trace walk: exact on uniform laws, and equal to a decode whose calls are enumerated.

Statistical assertions allow 4 standard errors (two-sided, 6e-5 each): a false alarm anywhere has a chance
below 1e-3. Seeds are fixed.
"""

import numpy as np
import pytest

from cases import thinned
from speclight.errors import InvalidInput
from speclight.theory.ergodic.bound import choose_thresholds, ergodic_renewal
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.trace_walk import over_walk, trace_walk
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import (
    reference_sources,
    runs_source,
    sample_texts,
    stationary_law,
    sticky_source,
    tabular_source,
    uniform_source,
)

# Sums of a few thousand terms of order one.
ROUNDING_ATOL = 1e-9


@pytest.mark.parametrize("vocabulary_size", [2, 4, 8])
@pytest.mark.parametrize("node_budget", [1, 2, 5, 9, 21, 40])
def test_uniform_laws_are_exact_at_every_budget(vocabulary_size, node_budget):
    """Between complete levels the last one is kept with the probability that fills the budget."""
    texts = [SampledText(np.full(300, np.log(vocabulary_size)), False, str(i)) for i in range(2)]
    walk = trace_walk(texts, node_budget)
    exact = best_tree(uniform_source(vocabulary_size), 0, node_budget).tokens_per_call[-1]
    assert walk.tokens_per_call == pytest.approx(exact, abs=ROUNDING_ATOL)
    assert walk.tree_size == pytest.approx(node_budget, abs=ROUNDING_ATOL)
    assert walk.calls * walk.tokens_per_call == pytest.approx(walk.tokens, abs=ROUNDING_ATOL)


def threshold_decode(source, node_budget, threshold, keep):
    """(tokens per call, mean tree size) of the decode whose trees are {V <= threshold, depth < P}, exactly.

    A node at the threshold belongs to a call's tree with probability keep, all of a call's or none. Which
    state a call leaves to is listed node by node; the calls' states follow from that chain.
    """
    laws, following = source.laws[:, 0], source.next_type.argmax(axis=-1)
    states = len(laws)
    emitted, sizes, leaving = np.zeros(states), np.zeros(states), np.zeros((states, states))
    for limit, share in ((threshold + 1e-9, keep), (threshold - 1e-9, 1.0 - keep)):
        for state in range(states):
            open_nodes = [(state, 0.0, 0)]
            while open_nodes:
                at, position, depth = open_nodes.pop()
                emitted[state] += share * np.exp(-position)
                sizes[state] += share
                for token in np.flatnonzero(laws[at]):
                    child = position - np.log(laws[at, token])
                    if depth + 1 < node_budget and child <= limit:
                        open_nodes.append((following[at, token], child, depth + 1))
                    else:
                        leaving[state, following[at, token]] += share * np.exp(-child)
    visits = stationary_law(leaving)
    return float(visits @ emitted), float(visits @ sizes)


@pytest.mark.parametrize("node_budget", thinned([6, 3, 12, 40]))
def test_it_is_the_threshold_decode_at_its_own_starts(node_budget):
    """At the walk's threshold the enumerated decode has its tokens per call and trees of P nodes."""
    source = tabular_source(4, 3, np.random.default_rng(7))
    texts = sample_texts(source, np.random.default_rng(13).random((600, 400, 3)))
    walk = trace_walk(texts, node_budget)
    exact, size = threshold_decode(source, node_budget, walk.threshold, walk.keep_at_atom)
    assert walk.standard_error < 0.005 * exact
    assert abs(walk.tokens_per_call - exact) < 4 * walk.standard_error
    assert walk.tree_size == pytest.approx(node_budget, abs=1e-6)
    assert abs(size / node_budget - 1.0) < 0.05  # Y has a standard deviation of some P over the root of calls


def test_the_threshold_of_uniform_starts_gives_trees_of_another_size():
    """4 certain tokens, then 1 of 6, P = 16: at the t_P of uniform starts the enumerated decode has trees of
    18, at the walk's threshold it has trees of 16."""
    source = runs_source(4, 6)
    texts = sample_texts(source, np.random.default_rng(3).random((100, 100, 3)))
    walk, uniform = trace_walk(texts, 16), choose_thresholds(texts, 16)
    _, own = threshold_decode(source, 16, walk.threshold, walk.keep_at_atom)
    _, other = threshold_decode(source, 16, float(uniform.values[0]), float(uniform.keep_at_atom[0]))
    assert own == pytest.approx(16.0, rel=0.03)
    assert other == pytest.approx(18.0, rel=0.03)


@pytest.mark.slow
def test_walk_of_an_iid_source_lies_within_its_jensen_slack():
    """I.i.d. contexts: every start is alike. The walk is at or above the optimum (4 SE), and not above the
    bound at its own starts (4 SE); all three are within 5%."""
    source = reference_sources()[5]
    rng = np.random.default_rng(14)
    texts = sample_texts(source, rng.random((200, 400, 3)))
    optimum = simulate_optimum(source, 16, 20_000, rng)
    walk = trace_walk(texts, 16)
    error = np.hypot(walk.standard_error, optimum.standard_error[-1])
    assert walk.tokens_per_call > optimum.tokens_per_call[-1] - 4 * error
    at_calls = ergodic_renewal(texts, 16, start_law=walk.start_law)
    assert at_calls.start_law == "call starts"
    assert walk.tokens_per_call < at_calls.value + 4 * np.hypot(walk.standard_error, at_calls.standard_error)
    assert at_calls.value < 1.05 * optimum.tokens_per_call[-1]


@pytest.mark.parametrize("node_budget", [2, 8, 64])
def test_the_decode_bound_of_the_same_texts_is_never_below(node_budget):
    """The walk is one way to cut the texts, so with the multiplier of these very texts the bound is above it
    without any error; chosen on other folds it may miss that by a thousandth. Paired errors are small."""
    texts = sample_texts(sticky_source(0.9, 0.05, 6), np.random.default_rng(4).random((100, 200, 3)))
    walk, bound = trace_walk(texts, node_budget), decode_bound(texts, node_budget)
    ratio = over_walk(bound, walk)
    assert ratio.value == pytest.approx(bound.held.value / walk.held)
    assert 0.999 < ratio.value < 1.1
    assert ratio.standard_error < 0.3 * walk.standard_error / walk.tokens_per_call
    with pytest.raises(InvalidInput, match="one budget"):
        over_walk(bound, trace_walk(texts, node_budget + 1))


def test_its_standard_error_is_the_spread_of_its_values():
    """60 independent sets of 40 texts: mean standard error within a third of the standard deviation, which
    itself is known to 9% (4 of its standard errors)."""
    noise = np.random.default_rng(15).random((60, 40, 100, 3))
    walks = [trace_walk(sample_texts(sticky_source(0.9, 0.05, 6), part), 8) for part in noise]
    spread = np.std([walk.tokens_per_call for walk in walks], ddof=1)
    assert np.mean([walk.standard_error for walk in walks]) == pytest.approx(spread, rel=0.36)


def test_calls_end_with_the_text():
    """P = 4 and certain tokens: calls of 4 from position 0, the last cut short by the end of text."""
    walk = trace_walk([SampledText(np.zeros(10), True, "0")], 4)
    assert walk.threshold == np.inf
    assert (walk.calls, walk.tokens, walk.held) == (3.0, 10.0, 10 / 3)
    np.testing.assert_array_equal(np.flatnonzero(walk.start_law.weights[0]), [0, 4, 8])
    # Cut, not ended: the call from position 8 cannot be decided and is left out, but a limit would count it.
    walk = trace_walk([SampledText(np.zeros(10), False, "0")], 4)
    assert (walk.calls, walk.tokens, walk.held) == (2.0, 8.0, 10 / 3)
    assert np.isnan(walk.standard_error)


def test_texts_too_short_for_the_budget_are_refused():
    with pytest.raises(InvalidInput, match="further tokens"):
        trace_walk([SampledText(np.ones(10), False, "0")], 12)
