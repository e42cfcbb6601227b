"""The trace walk: exact on uniform laws, and equal to an oracle decode whose call law is enumerated."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.ergodic.bound import choose_thresholds, ergodic_renewal
from speclight.theory.ergodic.strata import Strata, Thresholds
from speclight.theory.ergodic.trace_walk import trace_walk
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import (
    reference_sources,
    sample_texts,
    stationary_law,
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
    walk = trace_walk(texts, choose_thresholds(texts, node_budget))
    exact = best_tree(uniform_source(vocabulary_size), 0, node_budget).tokens_per_call[-1]
    assert walk.tokens_per_call == pytest.approx(exact, abs=ROUNDING_ATOL)
    assert walk.calls * walk.tokens_per_call == pytest.approx(walk.tokens, abs=ROUNDING_ATOL)


def test_drawn_uniforms_average_to_the_expectation():
    """2000 texts, 2 SE of the drawn walk against the expected one times 2: false alarm 6e-5 at 4 SE."""
    texts = [SampledText(np.full(60, np.log(2.0)), False, str(i)) for i in range(2000)]
    thresholds = choose_thresholds(texts, 5)
    uniforms = list(np.random.default_rng(2).random((2000, 60)))
    drawn, expected = trace_walk(texts, thresholds, uniforms), trace_walk(texts, thresholds)
    assert drawn.standard_error < 0.01
    assert abs(drawn.tokens_per_call - expected.tokens_per_call) < 4 * drawn.standard_error
    assert set(np.unique(np.concatenate(drawn.start_law.weights))) == {0.0, 1.0}


def oracle_decode(source, node_budget):
    """Exact long-run tokens per call of the decoder that holds the best tree at every call.

    The state after a call is a Markov chain: the text leaves the tree by a token outside it, whose
    probability and next state the tree gives. Tokens per call: E[X] under the chain's stationary law."""
    states = len(source.start)
    transition, emitted = np.zeros((states, states)), np.zeros(states)
    for state in range(states):
        best = best_tree(source, state, node_budget)
        emitted[state] = best.tokens_per_call[-1]
        at = np.zeros(len(best.tree), dtype=int)
        for node in range(len(best.tree)):
            parent = best.tree.parents[node]
            at[node] = state if node == 0 else source.next_type[at[parent], best.tree.tokens[node]].argmax()
            inside = set(best.tree.tokens[best.tree.children(node)])
            for token, chance in enumerate(source.laws[at[node], 0]):
                if token not in inside:
                    following = source.next_type[at[node], token].argmax()
                    transition[state, following] += best.path_probs[node] * chance
    return float(stationary_law(transition) @ emitted)


def test_with_one_stratum_per_context_it_is_the_oracle_decode():
    """A tabular model with a stratum for each of its 4 states (told by their entropies).

    Within 4 SE of the enumerated oracle decode at 3 budgets (false alarm 2e-4); uniform starts, which the
    walk must not be confused with, lie at least 8 SE away at P = 12 (15% above, in this model)."""
    source = tabular_source(4, 3, np.random.default_rng(7))
    texts = sample_texts(source, np.random.default_rng(13).random((600, 400, 3)))
    entropies = np.sort(source.entropies[:, 0])
    strata = Strata((entropies[1:] + entropies[:-1]) / 2)
    for node_budget in (3, 6, 12):
        walk = trace_walk(texts, choose_thresholds(texts, node_budget, strata))
        exact = oracle_decode(source, node_budget)
        assert walk.standard_error < 0.005 * exact
        assert abs(walk.tokens_per_call - exact) < 4 * walk.standard_error
    uniform = ergodic_renewal(texts, 12, strata)
    assert abs(uniform.value - exact) > 8 * uniform.standard_error


def test_walk_of_an_iid_source_lies_within_its_jensen_slack():
    """I.i.d. contexts: every start is alike. The walk is at or above the optimum (3 SE, 0.1%) and not above
    the bound at its own starts (3 SE); all three are within 5%."""
    source = reference_sources()[5]
    rng = np.random.default_rng(14)
    texts = sample_texts(source, rng.random((200, 400, 3)))
    optimum = simulate_optimum(source, 16, 20_000, rng)
    walk = trace_walk(texts, choose_thresholds(texts, 16))
    error = np.hypot(walk.standard_error, optimum.standard_error[-1])
    assert walk.tokens_per_call > optimum.tokens_per_call[-1] - 3 * error
    at_calls = ergodic_renewal(texts, 16, start_law=walk.start_law)
    assert at_calls.start_law == "call starts"
    assert walk.tokens_per_call < at_calls.value + 3 * np.hypot(walk.standard_error, at_calls.standard_error)
    assert at_calls.value < 1.05 * optimum.tokens_per_call[-1]


def test_calls_end_with_the_text():
    """P = 4, everything kept: calls of 4 tokens from position 0, the last cut short by the end of text."""
    everything = Thresholds(4, Strata(), np.array([np.inf]), np.ones(1))
    walk = trace_walk([SampledText(np.ones(10), True, "0")], everything)
    assert (walk.calls, walk.tokens) == (3.0, 10.0)
    np.testing.assert_array_equal(np.flatnonzero(walk.start_law.weights[0]), [0, 4, 8])
    # Cut, not ended: the call from position 8 cannot be decided and is left out, whatever it would emit.
    walk = trace_walk([SampledText(np.ones(10), False, "0")], everything)
    assert (walk.calls, walk.tokens) == (2.0, 8.0)
    assert np.isnan(walk.standard_error)


def test_uniforms_must_fit_the_texts():
    texts = [SampledText(np.ones(10), False, "0")]
    with pytest.raises(InvalidInput, match="one uniform per token"):
        trace_walk(texts, choose_thresholds(texts, 2), [np.zeros(9)])
