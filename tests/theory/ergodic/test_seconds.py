"""Limits in seconds against decodes whose rate is enumerated, at start laws and along texts.

Statistical assertions allow 4 standard errors (3e-5 each, one-sided; fewer than 12 of them). Seeds are fixed.
"""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.least_cost import SizeCosts, of_fixed_budget
from speclight.theory.ergodic.seconds import fastest_at_starts, fastest_decode
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.truth.optimal_decode import best_long_run
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.sources import sample_texts, tabular_source, uniform_source


@pytest.fixture(scope="module")
def source_and_texts():
    source = tabular_source(4, 3, np.random.default_rng(7))
    return source, sample_texts(source, np.random.default_rng(1).random((300, 200, 3)))


def test_calls_of_one_time_are_the_decode_bound(source_and_texts):
    _, texts = source_and_texts
    seconds, calls = fastest_decode(texts, of_fixed_budget(6)), decode_bound(texts, 6)
    assert seconds.held == calls.held
    assert seconds.going_on == calls.going_on


def test_batches_share_their_nodes(source_and_texts):
    """With one call time they have the decode bound of batches, no less than a single request's."""
    _, texts = source_and_texts
    for requests in (1, 3):
        seconds, calls = (
            fastest_decode(texts, of_fixed_budget(6), requests=requests),
            decode_bound(texts, 6, requests),
        )
        assert seconds.held == calls.held
        assert seconds.going_on == calls.going_on
    alone = fastest_decode(texts, of_fixed_budget(6)).going_on.value
    assert seconds.going_on.value >= alone
    with pytest.raises(InvalidInput, match="at least one request"):
        fastest_decode(texts, of_fixed_budget(6), requests=0)


def test_no_decode_with_fixed_budgets_is_faster(source_and_texts):
    """Measured times that fall, rise and jump: the best decode at every P, by policy iteration, is slower."""
    source, texts = source_and_texts
    curve = SizeCosts(np.arange(1, 9), np.array([1.0, 1.1, 1.05, 1.3, 1.35, 1.4, 2.2, 2.3]))
    bound = fastest_decode(texts, curve).going_on
    rates = [best_long_run(source, k) / time for k, time in enumerate(curve.costs, start=1)]
    assert max(rates) < bound.value + 4 * bound.standard_error
    assert bound.value < 1.1 * max(rates)
    # A line above the curve (the chord from 1 to 8 lies above T(6)) promises too little.
    chord = SizeCosts(np.array([1, 8]), np.array([1.0, 2.3]))
    assert fastest_decode(texts, chord).going_on.value < bound.value


def test_times_that_grow_with_the_context(source_and_texts):
    """Each context token adds seconds to a call: as slow as the mean context says."""
    _, texts = source_and_texts
    plain, grown, long = (
        fastest_decode(texts, of_fixed_budget(4), per_token, [prompt] * len(texts)).held.value
        for per_token, prompt in ((0.0, 0), (0.01, 0), (0.01, 100))
    )
    assert long < grown < plain
    # Mean contexts of 99.5 and 199.5 tokens: calls of 1.995 and 2.995 seconds, spread evenly over the text.
    assert grown == pytest.approx(plain / 1.995, rel=0.02)
    assert long == pytest.approx(plain / 2.995, rel=0.02)


def test_the_fixed_point_is_the_best_threshold_at_uniform_starts(source_and_texts):
    """T0 = 1, tau = 0.05: rate and tree size against the enumerated best trees of the four states.

    Every state's tree is cut where P(v) falls to rho tau, so ratios of means over states are exact; within
    1.5% of the optimum over all common thresholds, 6 standard errors of the estimate.
    """
    source, texts = source_and_texts
    best = [best_tree(source, state, 200).path_probs for state in range(4)]

    def rate(threshold):
        kept = [probs[probs > threshold] for probs in best]
        tokens = source.start @ np.array([k.sum() for k in kept])
        size = source.start @ np.array([len(k) for k in kept])
        return tokens / (1.0 + 0.05 * size), size

    exact = max(rate(threshold)[0] for threshold in np.geomspace(0.01, 0.9, 800))
    found = fastest_at_starts(texts, 1.0, 0.05, 40)
    assert found.rate == pytest.approx(exact, rel=0.015)
    assert found.threshold == pytest.approx(0.05 * found.rate)
    assert found.tokens_per_call == pytest.approx(found.rate * (1.0 + 0.05 * found.tree_size), rel=1e-6)


def test_uniform_laws_in_seconds():
    """Two equally likely tokens: the rate is the best over complete levels, k/(T0 + tau (2^k - 1))."""
    texts = [SampledText(np.full(200, np.log(2.0)), False, "0")]
    rates = [k / (1.0 + 0.03 * (2**k - 1)) for k in range(1, 8)]
    found = fastest_at_starts(texts, 1.0, 0.03, 20)
    assert found.rate == pytest.approx(max(rates))
    assert found.tree_size == pytest.approx(2 ** (1 + int(np.argmax(rates))) - 1)
    assert best_tree(uniform_source(2), 0, 7).tokens_per_call[-1] == pytest.approx(3.0)


def test_bad_times():
    texts = [SampledText(np.ones(10), True, "0")]
    with pytest.raises(InvalidInput, match="increasing"):
        SizeCosts(np.array([2, 1]), np.ones(2))
    with pytest.raises(InvalidInput, match="> 0"):
        SizeCosts(np.array([1, 2]), np.array([1.0, 0.0]))
    with pytest.raises(InvalidInput, match="T0 > 0"):
        fastest_at_starts(texts, 0.0, 1.0, 4)
    with pytest.raises(InvalidInput, match="context's length"):
        fastest_decode(texts, of_fixed_budget(2), 0.1, [1, 2])
