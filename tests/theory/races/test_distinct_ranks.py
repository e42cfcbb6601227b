"""The law of the distinct rank: against simulation, a plain integral, exact small cases, its own error."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import poisson_binom

from law_pairs import CORNER_PAIRS, corner_pair, law_pairs, random_pairs
from speclight.errors import InvalidInput
from speclight.theory.laws.arrival_counts import ArrivalRates, count_law
from speclight.theory.races.distinct_ranks import TIME_ERROR, distinct_rank_law
from speclight.theory.races.matching import (
    RankConvention,
    arrival_index_law,
    expected_distinct_rank,
    match_probability,
)

# 600 Gauss-Legendre nodes in log time and its cut-offs leave less than this (1200 change the law by 1e-13).
PLAIN_ATOL = 1e-10
STANDARD_ERRORS = 4.0
RACES = 20_000


def plain_rank_law(target, drafter):
    """sum_j p_j integral e^-s P(N = m - 1) ds, one token and one factor at a time."""
    nodes, weights = np.polynomial.legendre.leggauss(600)
    low, high = np.log(1e-12), np.log(60.0)
    times = np.exp(0.5 * (high - low) * (nodes + 1) + low)
    density = 0.5 * (high - low) * weights * times * np.exp(-times)
    law = np.zeros(len(target))
    for j in np.flatnonzero((target > 0) & (drafter > 0)):
        rates = np.maximum(drafter * target[j] / drafter[j] - target, 0.0)
        counts = np.zeros((len(times), len(target)))
        counts[:, 0] = 1.0
        for rate in rates:
            ahead = -np.expm1(-times * rate)[:, None]
            counts = counts * (1 - ahead) + np.pad(counts, ((0, 0), (1, 0)))[:, :-1] * ahead
        law += target[j] * (density @ counts)
    return law


def test_law_against_simulated_races():
    """Cells of at least 25 expected counts, at most 6 on each of 50 pairs: family false alarm below 2%.
    Power: a cell off by 0.02 is 5.6 standard errors or more.
    """
    rng = np.random.default_rng(201)
    compared = 0
    for target, drafter in random_pairs(50, seed=21):
        noise = rng.exponential(size=(RACES, len(target)))
        winner = (noise / target).argmin(axis=1)
        keys = noise / drafter
        rank = (keys < keys[np.arange(RACES), winner][:, None]).sum(axis=1)
        law = distinct_rank_law(target, drafter, len(target)).probabilities
        seen = np.bincount(rank, minlength=len(law)) / RACES
        solid = law * RACES >= 25
        spread = np.sqrt(law * np.maximum(1 - law, 0.0) / RACES)
        assert (np.abs(seen - law) <= STANDARD_ERRORS * spread + TIME_ERROR)[solid].all()
        compared += int(solid.sum())
    assert compared > 120


@settings(max_examples=20, deadline=None)
@given(law_pairs())
def test_law_equals_the_plain_integral(pair):
    law = distinct_rank_law(*pair, len(pair[0]))
    np.testing.assert_allclose(law.probabilities, plain_rank_law(*pair), rtol=0, atol=PLAIN_ATOL)


@pytest.mark.parametrize("name", CORNER_PAIRS)
def test_first_rank_is_the_match_on_corner_pairs(name):
    target, drafter = corner_pair(name)
    law = distinct_rank_law(target, drafter, 4)
    assert law.convention is RankConvention.DISTINCT
    assert law.probabilities[0] == pytest.approx(match_probability(target, drafter), abs=TIME_ERROR)
    # With four ranks listed only tokens that the drafter cannot propose are beyond.
    assert law.beyond == pytest.approx(float(target[drafter == 0].sum()), abs=4 * TIME_ERROR)
    assert (law.probabilities[int((drafter > 0).sum()) :] <= TIME_ERROR).all()


@given(law_pairs(zeros_in_drafter=False))
def test_mean_and_order_against_the_closed_forms(pair):
    ranks = len(pair[0])
    law = distinct_rank_law(*pair, ranks)
    mean = float(law.probabilities @ np.arange(1, ranks + 1))
    assert mean == pytest.approx(expected_distinct_rank(*pair), abs=ranks**2 * TIME_ERROR)
    # A distinct rank is never above the arrival index of the same noise.
    arrivals = arrival_index_law(*pair, ranks)
    assert (np.cumsum(law.probabilities) >= np.cumsum(arrivals.probabilities) - ranks * TIME_ERROR).all()


def test_one_hot_target_gives_the_order_of_draws_without_replacement():
    """q = (1/2, 1/5, 3/10), target token 1: first w.p. 1/5, second w.p. 1/2 * 2/5 + 3/10 * 2/7."""
    law = distinct_rank_law(*corner_pair("one-hot target"), 3).probabilities
    second = 0.5 * 0.2 / 0.5 + 0.3 * 0.2 / 0.7
    np.testing.assert_allclose(law, [0.2, second, 1 - 0.2 - second], rtol=0, atol=TIME_ERROR)


def test_ranks_need_not_be_monotone():
    law = distinct_rank_law(np.array([1e-9, 1 - 1e-9]), np.array([0.99, 0.01]), 2).probabilities
    np.testing.assert_allclose(law, [0.01, 0.99], rtol=0, atol=1e-6)  # the 1e-9 moves both by less


@pytest.mark.slow
def test_large_vocabulary_error_is_below_the_one_stated():
    """3000 tokens: rank 1 and the mean have closed forms; a coarse run must agree with a fine one."""
    rng = np.random.default_rng(202)
    logits = rng.normal(size=3000) * 2.5
    target, drafter = np.exp(logits), np.exp(logits + 0.7 * rng.normal(size=3000))
    target, drafter = target / target.sum(), drafter / drafter.sum()
    fine, coarse = (distinct_rank_law(target, drafter, 24, tolerance) for tolerance in (1e-6, 1e-4))
    assert fine.error <= 1e-6 + TIME_ERROR
    assert 1e-6 < coarse.error <= 1e-4 + TIME_ERROR
    assert abs(fine.probabilities[0] - match_probability(target, drafter)) <= fine.error
    # The error stated is that of chords; parabolas are what is summed, and they do far better.
    assert np.abs(coarse.probabilities - fine.probabilities).sum() <= coarse.error / 30


def test_count_law_equals_the_plain_poisson_binomial():
    """5000 tokens through power sums against scipy's transform, at times of few and of many arrivals."""
    shares = np.random.default_rng(203).dirichlet(np.full(5000, 0.05))
    arrivals = ArrivalRates(shares[shares > 0])
    times = np.array([1e-3, 0.3, 3.0, 20.0, 60.0])
    law = count_law(arrivals, times, 40)
    for row, time in enumerate(times):
        chances = -np.expm1(-time * arrivals.shares)
        plain = poisson_binom.pmf(np.arange(40), chances[chances > 1e-18])
        # scipy's Fourier transform of 5000 terms is itself good to about 1e-13.
        np.testing.assert_allclose(law[row], plain, rtol=0, atol=1e-11)


def test_bad_arguments_are_refused():
    pair = corner_pair("equal")
    with pytest.raises(InvalidInput, match="max_rank"):
        distinct_rank_law(*pair, 0)
    with pytest.raises(InvalidInput, match="tolerance"):
        distinct_rank_law(*pair, 1, tolerance=0.0)
