"""Limits of chains against the best chain decode, by backward induction over all chains.

Statistical assertions allow 4 standard errors (one-sided, 3e-5 each); with the 40 of this file the chance of
any false alarm is about 1e-3. Seeds are fixed.
"""

from dataclasses import replace

import numpy as np
import pytest

from cases import thinned
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, best_for_a_real_model
from speclight.theory.ergodic.chain_cuts import cheapest_chains
from speclight.theory.ergodic.chains import chain_limits, chains_at_starts, greedy_call_starts
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.segments import cheapest_segments, text_arrays
from speclight.theory.known import Known
from speclight.theory.laws.likely_tokens import likely_tokens
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.truth.optimal_decode import fewest_calls, fewest_calls_of_chains
from speclight.theory.truth.sources import TokenSource, sample_texts, tabular_source

ROUNDING_RTOL = 1e-9
TOKENS = 300
# States, vocabulary and seed of a source.
SOURCES = [
    pytest.param((4, 3, 7), id="4 states"),
    pytest.param((5, 2, 8), id="5 states", marks=pytest.mark.slow),
    pytest.param((6, 4, 9), id="6 states", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=SOURCES)
def source_and_texts(request):
    states, vocabulary, seed = request.param
    source = tabular_source(states, vocabulary, np.random.default_rng(seed))
    noise = np.random.default_rng(seed + 1).random((400, TOKENS, 3))
    return source, sample_texts(source, noise, keep_laws=True)


def best_call(source: TokenSource, drafted: int) -> float:
    """E[X] of the best chain, at starts of the stationary law of states."""
    laws, following = source.laws[:, 0], source.next_type.argmax(axis=-1)
    best = np.zeros(len(laws))
    for _ in range(drafted):
        best = (laws * (1.0 + best[following])).max(axis=1)
    return 1.0 + float(source.start @ best)


@pytest.mark.parametrize("drafted", thinned([3, 1, 2, 8]))
def test_the_best_chain_decode_lies_between_the_limits(source_and_texts, drafted):
    """At most 6.5% below the upper one, and no more than 6% above the lower one."""
    source, texts = source_and_texts
    best = fewest_calls_of_chains(source, drafted, TOKENS)
    optimum = best.tokens / best.calls
    found = chain_limits(texts, drafted)
    assert found.certified.value < optimum + 4 * found.certified.standard_error
    assert found.certified.value > 0.94 * optimum
    for above in (found.none_exceeds, found.endless):
        assert above.value > optimum - 4 * above.standard_error
    assert found.upper.value < 1.065 * optimum
    assert found.none_exceeds.value < decode_bound(texts, drafted + 1).going_on.value * (1 + 2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("drafted", [3, 2, 8])
def test_with_every_call_charged_in_full_it_would_fail(source_and_texts, drafted):
    """1 in place of 1 - sum of lambda, as if no depth had a node: below the best decode by 10 errors."""
    source, texts = source_and_texts
    best = fewest_calls_of_chains(source, drafted, TOKENS)
    error = chain_limits(texts, drafted).none_exceeds.standard_error
    forgotten = 400 * TOKENS / cheapest_segments(text_arrays(texts), 1.0, 0.15, drafted + 1).cost.sum()
    assert forgotten < best.tokens / best.calls - 10 * error


@pytest.mark.slow
def test_endless_greedy_chains_attain_their_limit(source_and_texts):
    """1/(1 - E[max p]): the chain of the likeliest tokens goes on exactly as often as they are drawn."""
    _, texts = source_and_texts
    found = chain_limits(texts, TOKENS)
    error = np.hypot(found.certified.standard_error, found.endless.standard_error)
    assert abs(found.certified.value - found.endless.value) < 4 * error
    assert error < 0.01 * found.certified.value


def test_one_draft_is_a_chain_and_a_tree():
    """With one drafted token all trees are chains; with more, some tree is better on this source."""
    source = tabular_source(6, 4, np.random.default_rng(9))
    one, tree = fewest_calls_of_chains(source, 1, 50), fewest_calls(source, 2, 50)
    assert one.calls == pytest.approx(tree.calls, rel=ROUNDING_RTOL)
    assert fewest_calls_of_chains(source, 3, 50).calls > fewest_calls(source, 4, 50).calls


@pytest.mark.parametrize("drafted", [1, 3, 8])
def test_no_chain_exceeds_the_bound_of_a_start_law(source_and_texts, drafted):
    source, texts = source_and_texts
    bound, best = chains_at_starts(texts, drafted + 1), best_call(source, drafted)
    assert bound.standard_error is not None
    assert bound.value > best - 4 * bound.standard_error
    assert bound.value < 1.1 * best
    # All of P nodes at one depth would be allowed without the depths' own limits.
    assert bound.value < 1.0 + drafted


@pytest.mark.slow
def test_uniform_laws_are_bounded_exactly():
    """Two equally likely tokens: a chain of K emits 2 - 2^-K tokens, wherever it starts."""
    texts = [SampledText(np.full(4000, np.log(2.0)), True, f"p{i}") for i in range(10)]
    for drafted in (1, 2, 5):  # of a decode the best charges are found to 1%
        at_starts = chains_at_starts(texts, drafted + 1, None)
        assert at_starts.value == pytest.approx(2.0 - 0.5**drafted, rel=0.02)
        found = chain_limits(texts, drafted)
        assert 2.0 - 0.5**drafted <= found.none_exceeds.value < 1.008 * (2.0 - 0.5**drafted)
        assert found.endless is None
        assert found.upper == found.none_exceeds


def test_greedy_calls_along_a_text():
    """Tokens 0.9 and 0.6 are drafted, 0.3 is not: calls end behind it, at K drafts, and before the end."""
    text = SampledText(-np.log([0.9, 0.6, 0.9, 0.3, 0.9, 0.9, 0.9]), True, "p")
    assert greedy_call_starts(text, 2).tolist() == [0, 3, 4]
    assert greedy_call_starts(text, 9).tolist() == [0, 4]
    assert greedy_call_starts(replace(text, ended=False), 9).tolist() == [0, 4]
    # A law that is known may have a likeliest token below one half; the end of text is never drafted.
    laws = [[0.4, 0.35, 0.25], [0.35, 0.4, 0.25], [0.2, 0.2, 0.6]]
    known = SampledText(-np.log([0.4, 0.35, 0.6]), True, "p", likely=likely_tokens(laws, [2]))
    assert greedy_call_starts(known, 9).tolist() == [0, 2]


def test_certain_text_is_bounded_by_the_longest_call():
    texts = [SampledText(np.zeros(60), True, f"p{i}") for i in range(3)]
    found = chain_limits(texts, 4)
    assert found.none_exceeds.value == pytest.approx(5.0, rel=ROUNDING_RTOL)
    assert chains_at_starts(texts, 5).value <= 5.0
    assert cheapest_chains(text_arrays(texts), 4).costs.sum() == pytest.approx(36.0, rel=1e-3)


def test_the_statement_is_no_bound_for_trees():
    texts = sample_texts(
        tabular_source(6, 4, np.random.default_rng(9)), np.random.default_rng(1).random((20, 90, 3))
    )
    found = {bound.name: bound for bound in Known(texts=texts).bounds(4)}
    assert Assumption.CHAINS in found["chains"].assumptions
    assert best_for_a_real_model(found.values()).name == "ergodic_renewal"
    assert "chains" not in {bound.name for bound in Known(texts=texts).bounds(1)}


def test_wrong_arguments_are_named():
    with pytest.raises(InvalidInput, match="drafted"):
        chain_limits([SampledText(np.ones(3), True, "p")], 0)
    with pytest.raises(InvalidInput, match="end"):
        fewest_calls_of_chains(tabular_source(3, 3, np.random.default_rng(0), end_of_text=2), 2, 10)
