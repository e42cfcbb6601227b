"""H[R]: estimates from counts against exact enumeration, and the two bounds where they hold and where not."""

from math import lgamma, log

import numpy as np
import pytest
from hypothesis import given

from law_pairs import corner_pair, law_pairs
from speclight.errors import InvalidInput
from speclight.theory.coins.acceptance import rejection_with_replacement
from speclight.theory.information import kl_divergence
from speclight.theory.races.distinct_ranks import distinct_rank_law
from speclight.theory.races.matching import RankConvention, arrival_index_law
from speclight.theory.races.rank_entropy import (
    arrival_index_entropy,
    channel_simulation_upper_bound,
    divergence_lower_bound,
    entropy_terms,
    rank_entropy,
    rank_entropy_from_counts,
)
from speclight.theory.races.speed_up import speed_up

WITH_REPLACEMENT, DISTINCT = RankConvention.WITH_REPLACEMENT, RankConvention.DISTINCT
ROUNDING_ATOL = 1e-12
# What the integrated tail of the arrival index promises.
TAIL_ATOL = 1e-9


def binomial_outcomes(samples, chance):
    """All count vectors of two ranks with their probabilities."""
    for seen in range(samples + 1):
        log_ways = lgamma(samples + 1) - lgamma(seen + 1) - lgamma(samples - seen + 1)
        weight = np.exp(log_ways + seen * log(chance) + (samples - seen) * log(1 - chance))
        yield weight, rank_entropy_from_counts(np.array([seen, samples - seen]))


def test_miller_madow_removes_the_bias_of_order_one_over_n():
    """Exact expectations over all outcomes of 60 observations of (0.3, 0.7): no sampling."""
    truth = float(entropy_terms(np.array([0.3, 0.7])).sum())
    outcomes = list(binomial_outcomes(60, 0.3))
    plug_in = sum(weight * estimate.plug_in for weight, estimate in outcomes)
    corrected = sum(weight * estimate.miller_madow for weight, estimate in outcomes)
    assert plug_in < truth
    assert abs(corrected - truth) < 0.05 * (truth - plug_in)


def test_standard_error_is_the_spread_of_the_estimate():
    """Exact spread over all outcomes of 400 observations; the delta method is first order, hence 2%."""
    outcomes = list(binomial_outcomes(400, 0.2))
    mean = sum(weight * estimate.plug_in for weight, estimate in outcomes)
    variance = sum(weight * (estimate.plug_in - mean) ** 2 for weight, estimate in outcomes)
    stated = sum(weight * estimate.standard_error for weight, estimate in outcomes)
    assert stated == pytest.approx(np.sqrt(variance), rel=0.02)


def test_estimate_from_counts_by_hand():
    estimate = rank_entropy_from_counts(np.array([2, 0, 1, 1]))
    assert estimate.plug_in == pytest.approx(1.5 * log(2), abs=ROUNDING_ATOL)
    assert estimate.miller_madow == pytest.approx(1.5 * log(2) + 2 / 8, abs=ROUNDING_ATOL)
    assert (estimate.samples, estimate.occupied) == (4, 3)
    constant = rank_entropy_from_counts(np.array([7]))
    assert (constant.plug_in, constant.miller_madow, constant.standard_error) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("counts", [[], [0, 0], [1, -1], [0.5, 0.5], [[1, 2]]])
def test_malformed_counts_are_refused(counts):
    with pytest.raises(InvalidInput, match="rank counts"):
        rank_entropy_from_counts(np.array(counts))


@given(law_pairs(zeros_in_drafter=False))
def test_arrival_index_entropy_equals_the_long_sum(pair):
    # 6000 indices hold all but 1e-25 (integer weights, see law_pairs: A <= 101).
    plain = rank_entropy(arrival_index_law(*pair, 6000))
    assert arrival_index_entropy(*pair) == pytest.approx(plain, abs=TAIL_ATOL)


def test_arrival_index_entropy_of_one_geometric_law():
    """One-hot target on a token of drafter mass q: H = -ln q - (1 - q) / q ln(1 - q), also at q = 1e-9."""
    for mass in (0.9, 0.1, 1e-2, 1e-3, 1e-4, 1e-9):
        exact = -log(mass) - (1 - mass) / mass * np.log1p(-mass)
        found = arrival_index_entropy(np.array([0.0, 1.0]), np.array([1 - mass, mass]))
        assert found == pytest.approx(exact, abs=TAIL_ATOL * 10)  # 1 - (1 - 1e-9) keeps 7 digits of 1e-9


@given(law_pairs(zeros_in_drafter=False))
def test_divergence_and_channel_simulation_bracket_the_arrival_index(pair):
    low = divergence_lower_bound(*pair, WITH_REPLACEMENT).nats
    entropy = arrival_index_entropy(*pair)
    high = channel_simulation_upper_bound(low, WITH_REPLACEMENT).nats
    loose = channel_simulation_upper_bound(low, WITH_REPLACEMENT, loose=True).nats
    assert low - TAIL_ATOL <= entropy <= high + TAIL_ATOL
    assert high <= loose + 1e-4  # the printed constants are rounded: 2.443 + log2(D + 2.443) <= ... + 3.732


@given(law_pairs(zeros_in_drafter=False))
def test_divergence_bounds_rejection_with_replacement(pair):
    """H of the accepting candidate: ratios are at most 101, so 4000 candidates leave e^-39 of the mass."""
    accepted = rejection_with_replacement(*pair, 4000).by_candidate
    entropy = float(entropy_terms(accepted).sum())
    assert divergence_lower_bound(*pair, WITH_REPLACEMENT).nats <= entropy + TAIL_ATOL


def test_divergence_bound_is_false_for_distinct_ranks_and_refused():
    target, drafter = np.array([1e-9, 1 - 1e-9]), np.array([0.99, 0.01])
    entropy = rank_entropy(distinct_rank_law(target, drafter, 2))
    assert entropy == pytest.approx(0.056, abs=5e-4)
    assert float(kl_divergence(target, drafter)) > 80 * entropy
    with pytest.raises(InvalidInput, match="false for distinct ranks"):
        divergence_lower_bound(target, drafter, DISTINCT)
    with pytest.raises(InvalidInput, match="arrival index"):
        channel_simulation_upper_bound(1.0, DISTINCT)


def test_no_single_convention_is_accepted_by_both_halves_of_the_quoted_pair():
    target, drafter = corner_pair("one-hot target")
    for convention in RankConvention:
        refused = 0
        for claim in (
            lambda c=convention: divergence_lower_bound(target, drafter, c),
            lambda c=convention: speed_up(2, 3, 1.0, c),
        ):
            try:
                claim()
            except InvalidInput:
                refused += 1
        assert refused == 1


def test_channel_simulation_constants_are_evaluated_in_bits():
    """At D = 0: (2.443 + log2 2.443) ln 2 nats; at D = ln 2 nats = 1 bit: (1 + 1 + 3.732) ln 2."""
    tight = channel_simulation_upper_bound(0.0, WITH_REPLACEMENT).nats
    assert tight == pytest.approx(2.443 * log(2) + log(2.443), abs=ROUNDING_ATOL)
    loose = channel_simulation_upper_bound(log(2), WITH_REPLACEMENT, loose=True).nats
    assert loose == pytest.approx(5.732 * log(2), abs=ROUNDING_ATOL)


def test_infinite_divergence_is_refused():
    with pytest.raises(InvalidInput, match="probability 0"):
        divergence_lower_bound(*corner_pair("zeros in drafter"), WITH_REPLACEMENT)
    with pytest.raises(InvalidInput, match="probability 0"):
        arrival_index_entropy(*corner_pair("disjoint"))
    for divergence in (float("inf"), float("nan"), -0.1):
        with pytest.raises(InvalidInput, match="finite number of nats"):
            channel_simulation_upper_bound(divergence, WITH_REPLACEMENT)
