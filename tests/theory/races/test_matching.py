"""Closed forms of two exponential races: against simulated races, limits, and each other."""

import numpy as np
import pytest
from hypothesis import given

from law_pairs import CORNER_PAIRS, corner_pair, law_pairs, random_pairs
from speclight.errors import InvalidInput
from speclight.theory.information import total_variation
from speclight.theory.races.matching import (
    RankConvention,
    arrival_index_law,
    expected_arrival_index,
    expected_distinct_rank,
    list_sampling_lower_bound,
    match_probability,
)

# Sums of a few products of float64 numbers at most 1.
ROUNDING_ATOL = 1e-12
# Two-sided chance of a normal deviate beyond 4 standard errors: 6.3e-5.
STANDARD_ERRORS = 4.0
RACES = 20_000
PAIRS = 50


def simulated_race(target, drafter, rng, races=RACES):
    """Winner under the target, its distinct rank and its arrival index, from the noise alone."""
    noise = rng.exponential(size=(races, len(target)))
    winner = np.where(target > 0, noise / np.where(target > 0, target, 1.0), np.inf).argmin(axis=1)
    first = noise / drafter
    at = first[np.arange(races), winner][:, None]
    rank = 1 + (first < at).sum(axis=1)
    # A token that arrived first at `first` arrives Poisson(q (at - first)) more times before `at`.
    again = rng.poisson(np.where(first < at, drafter * (at - first), 0.0)).sum(axis=1)
    return winner, rank, rank + again


def test_match_and_expected_ranks_against_simulation():
    """False alarms: 3 x 50 comparisons at 6.3e-5, family 1%. Power: a match probability off by 0.02 is six
    standard errors or more (largest is 0.0036), so it is seen with probability > 0.97 on each pair.
    """
    rng = np.random.default_rng(101)
    for target, drafter in random_pairs(PAIRS, seed=1):
        _, rank, index = simulated_race(target, drafter, rng)
        matches = rank == 1
        for seen, exact in (
            (matches, match_probability(target, drafter)),
            (rank, expected_distinct_rank(target, drafter)),
        ):
            assert abs(seen.mean() - exact) <= STANDARD_ERRORS * seen.std() / np.sqrt(RACES) + ROUNDING_ATOL
        # The index has a heavy tail: its bulk is compared instead of its mean.
        law = arrival_index_law(target, drafter, 8)
        bulk = law.within(8)
        spread = np.sqrt(bulk * (1 - bulk) / RACES)
        assert abs((index <= 8).mean() - bulk) <= STANDARD_ERRORS * spread + ROUNDING_ATOL


def test_arrival_index_law_against_simulation():
    """Cells of at least 25 expected counts, at most 6 on each of 50 pairs: family false alarm below 2%."""
    rng = np.random.default_rng(102)
    compared = 0
    for target, drafter in random_pairs(PAIRS, seed=2):
        _, _, index = simulated_race(target, drafter, rng)
        law = arrival_index_law(target, drafter, 6)
        seen = np.bincount(np.minimum(index, 7), minlength=8)[1:7] / RACES
        solid = law.probabilities * RACES >= 25
        spread = np.sqrt(law.probabilities * (1 - law.probabilities) / RACES)
        assert (np.abs(seen - law.probabilities) <= STANDARD_ERRORS * spread + ROUNDING_ATOL)[solid].all()
        compared += int(solid.sum())
    assert compared > 200


@given(law_pairs())
def test_match_lies_between_its_bounds_in_total_variation(pair):
    target, drafter = pair
    match, distance = match_probability(target, drafter), float(total_variation(target, drafter))
    assert (1 - distance) / (1 + distance) - ROUNDING_ATOL <= match <= 1 - distance + ROUNDING_ATOL


@given(law_pairs())
def test_match_equals_the_double_sum(pair):
    """The sorted form against sum_j 1 / sum_i max(p_i / p_j, q_i / q_j) term by term."""
    target, drafter = pair
    plain = 0.0
    for j in range(len(target)):
        if target[j] > 0 and drafter[j] > 0:
            plain += 1.0 / np.maximum(target / target[j], drafter / drafter[j]).sum()
    assert match_probability(target, drafter) == pytest.approx(plain, abs=ROUNDING_ATOL)


@pytest.mark.parametrize("name", CORNER_PAIRS)
def test_matching_keeps_its_bounds_on_corner_pairs(name):
    target, drafter = corner_pair(name)
    match, distance = match_probability(target, drafter), float(total_variation(target, drafter))
    assert (1 - distance) / (1 + distance) - ROUNDING_ATOL <= match <= 1 - distance + ROUNDING_ATOL
    law = arrival_index_law(target, drafter, 5)
    assert law.convention is RankConvention.WITH_REPLACEMENT
    assert law.probabilities[0] == pytest.approx(match, abs=ROUNDING_ATOL)
    assert law.probabilities.sum() + law.beyond == pytest.approx(1.0, abs=ROUNDING_ATOL)
    unproposable = bool(((target > 0) & (drafter == 0)).any())
    assert np.isinf(expected_distinct_rank(target, drafter)) == unproposable
    assert np.isinf(expected_arrival_index(target, drafter)) == unproposable


def test_equal_laws_always_match_and_disjoint_never():
    assert match_probability(*corner_pair("equal")) == pytest.approx(1.0, abs=ROUNDING_ATOL)
    assert expected_distinct_rank(*corner_pair("equal")) == pytest.approx(1.0, abs=ROUNDING_ATOL)
    assert match_probability(*corner_pair("disjoint")) == 0.0


def test_one_hot_target_is_a_draw_without_replacement_from_the_drafter():
    """Target token 1, q = (1/2, 1/5, 3/10): rival i is ahead with probability q_i / (q_i + q_1)."""
    expected = 1 + 0.5 / 0.7 + 0.3 / 0.5
    assert expected_distinct_rank(*corner_pair("one-hot target")) == pytest.approx(
        expected, abs=ROUNDING_ATOL
    )
    # With replacement the index is geometric with success probability q_1 = 1/5.
    law = arrival_index_law(*corner_pair("one-hot target"), 6)
    np.testing.assert_allclose(law.probabilities, 0.2 * 0.8 ** np.arange(6), rtol=0, atol=ROUNDING_ATOL)
    assert expected_arrival_index(*corner_pair("one-hot target")) == pytest.approx(5.0, abs=ROUNDING_ATOL)


@given(law_pairs(zeros_in_drafter=False))
def test_arrival_index_law_decreases_and_has_the_stated_mean(pair):
    law = arrival_index_law(*pair, 4000)
    assert (np.diff(law.probabilities) <= ROUNDING_ATOL).all()
    # Integer weights up to 20 on at most 6 tokens: A <= p / q <= 101, so 4000 indices hold all but 1e-17.
    mean = float(law.probabilities @ np.arange(1, 4001))
    assert mean == pytest.approx(expected_arrival_index(*pair), abs=1e-9)  # 4000 terms of up to 4000 * 1e-16
    assert expected_distinct_rank(*pair) <= expected_arrival_index(*pair) + ROUNDING_ATOL


def test_list_sampling_bound_holds_against_simulated_list_sampling():
    """Bound <= simulated acceptance + 4 SE: 3 x 12 one-sided comparisons, family false alarm 0.1%.
    One noise set is exact, so there the comparison is two-sided.
    """
    rng = np.random.default_rng(103)
    for target, drafter in random_pairs(12, seed=3):
        for sets in (1, 2, 4):
            noise = rng.exponential(size=(RACES, sets, len(target)))
            emitted = (noise.min(axis=1) / target).argmin(axis=1)
            drafts = (noise / drafter).argmin(axis=2)
            accepted = float((drafts == emitted[:, None]).any(axis=1).mean())
            error = STANDARD_ERRORS * np.sqrt(max(accepted * (1 - accepted), 1 / RACES) / RACES)
            bound = list_sampling_lower_bound(target, drafter, sets)
            assert bound <= accepted + error
            if sets == 1:
                assert accepted <= bound + error


@given(law_pairs())
def test_list_sampling_bound_is_exact_for_equal_laws_and_at_most_one(pair):
    target, drafter = pair
    assert list_sampling_lower_bound(target, target, 3) == pytest.approx(1.0, abs=ROUNDING_ATOL)
    assert list_sampling_lower_bound(target, drafter, 3) <= 1.0 + ROUNDING_ATOL
    assert list_sampling_lower_bound(target, drafter, 1) == match_probability(target, drafter)


def test_malformed_laws_and_counts_are_refused():
    target, drafter = corner_pair("equal")
    with pytest.raises(InvalidInput, match="one length"):
        match_probability(target, np.array([0.5, 0.5]))
    with pytest.raises(InvalidInput, match="sum to 1"):
        match_probability(target * 0.5, drafter)
    with pytest.raises(InvalidInput, match="max_index"):
        arrival_index_law(target, drafter, 0)
    with pytest.raises(InvalidInput, match="compute it to a larger rank"):
        arrival_index_law(target, drafter, 3).within(4)
