"""Rank laws given the emitted token: averaged over the token they are the closed forms."""

import numpy as np
import pytest

from law_pairs import random_pairs
from speclight.drafting.count_law import count_law
from speclight.theory.coins import acceptance
from speclight.theory.coins.rejection_without_replacement import rejection_without_replacement
from speclight.theory.races.distinct_ranks import distinct_rank_law
from speclight.theory.races.emitted_ranks import MOST_FOLLOWED_SETS, emitted_ranks, k_seq_counts
from speclight.theory.races.matching import arrival_index_law, list_sampling_lower_bound

# Sums of a few hundred products of float64 probabilities.
ROUNDING_ATOL = 1e-10
# The integrals over time of list sampling, on kinked integrands of few tokens.
INTEGRAL_ATOL = 2e-4
# Two-sided chance of a normal deviate beyond 5 standard errors: 5.7e-7.
STANDARD_ERRORS = 5.0
RANKS = 8


def laws_by_token(target, drafter, histories=16, ranks=RANKS):
    rng = np.random.default_rng(9)
    tokens = np.flatnonzero(target > 0.0)
    return tokens, [
        emitted_ranks(target, drafter, int(t), rng.random((histories, ranks - 1))) for t in tokens
    ]


def test_averaged_over_the_token_they_are_the_closed_forms():
    for target, drafter in random_pairs(12, seed=4):
        tokens, laws = laws_by_token(target, drafter)
        mean = {
            name: np.sum(
                [target[t] * getattr(law, name) for t, law in zip(tokens, laws, strict=True)], axis=0
            )
            for name in ("race", "race_with_replacement", "rejection", "k_seq")
        }
        expected = distinct_rank_law(target, drafter, RANKS)
        np.testing.assert_allclose(mean["race"], expected.probabilities, rtol=0, atol=expected.error + 1e-9)
        arrival = arrival_index_law(target, drafter, RANKS).probabilities
        np.testing.assert_allclose(mean["race_with_replacement"], arrival, rtol=0, atol=ROUNDING_ATOL)
        tries = acceptance.rejection_with_replacement(target, drafter, RANKS).by_candidate
        np.testing.assert_allclose(mean["rejection"], tries, rtol=0, atol=ROUNDING_ATOL)
        for count in k_seq_counts(RANKS):
            k_seq = acceptance.k_seq(target, drafter, count).by_candidate
            np.testing.assert_allclose(mean["k_seq"][count, :count], k_seq, rtol=0, atol=1e-7)


def test_rejection_without_replacement_is_estimated_without_bias():
    """4,000 histories; a mean spreads by at most 0.5 / sqrt(4000) = 0.008, so 0.04 is 5 standard errors."""
    for target, drafter in random_pairs(4, seed=6, largest_vocabulary=4):
        tokens, laws = laws_by_token(target, drafter, histories=4_000, ranks=3)
        mean = target[tokens] @ np.array([law.rejection_without_replacement for law in laws])
        exact = rejection_without_replacement(target, drafter, 3).by_candidate
        np.testing.assert_allclose(mean, exact, rtol=0, atol=0.04)
        assert abs(mean[0] - exact[0]) < ROUNDING_ATOL


def simulated_matches(target, drafter, sets, rng, draws=40_000):
    """[draws] emitted token, and how many of the noise sets drafted it."""
    times = rng.exponential(size=(draws, sets, len(target)))
    drafts = (times / drafter).argmin(axis=2)
    emitted = (times.min(axis=1) / target).argmin(axis=1)
    return emitted, (drafts == emitted[:, None]).sum(axis=1)


@pytest.mark.parametrize("sets", [1, 2, 5])
def test_matches_of_list_sampling_against_simulation(sets):
    """Tokens emitted at least 1,000 times; at most 90 comparisons at 5.7e-7 each. A match probability off by
    0.08 is noticed at any of them."""
    rng, compared = np.random.default_rng(8), 0
    for target, drafter in random_pairs(6, seed=3):
        emitted, matches = simulated_matches(target, drafter, sets, rng)
        tokens, laws = laws_by_token(target, drafter)
        for token, law in zip(tokens, laws, strict=True):
            seen = matches[emitted == token]
            if len(seen) < 1_000:
                continue
            expected = law.matching_sets[sets, : sets + 1]
            frequencies = np.bincount(seen, minlength=sets + 1) / len(seen)
            spread = np.sqrt(expected * (1.0 - expected) / len(seen))
            assert (np.abs(frequencies - expected) < STANDARD_ERRORS * spread + INTEGRAL_ATOL).all()
            assert abs(1.0 - expected[0] - law.any_set[sets]) < ROUNDING_ATOL
            compared += 1
    assert compared > 10


def test_one_noise_set_is_the_race_and_more_sets_match_more():
    for target, drafter in random_pairs(8, seed=5):
        tokens, laws = laws_by_token(target, drafter)
        for law in laws:
            assert abs(law.any_set[1] - law.race[0]) < INTEGRAL_ATOL
            np.testing.assert_allclose(
                law.matching_sets[: RANKS + 1].sum(axis=1), 1.0, rtol=0, atol=INTEGRAL_ATOL
            )
            assert law.matching_sets.shape == (MOST_FOLLOWED_SETS + 1,) * 2
        for sets in (1, 3, 8):
            matched = sum(target[t] * law.any_set[sets] for t, law in zip(tokens, laws, strict=True))
            assert matched >= list_sampling_lower_bound(target, drafter, sets) - INTEGRAL_ATOL


def test_a_token_the_drafter_cannot_propose_is_never_a_candidate():
    law = emitted_ranks(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 1, np.zeros((2, 3)))
    for name in (
        "race",
        "race_with_replacement",
        "rejection",
        "rejection_without_replacement",
        "k_seq",
        "any_set",
    ):
        assert not getattr(law, name).any()
    assert law.ratio == 0.0
    np.testing.assert_array_equal(law.matching_sets[:, 0], 1.0)


def test_counts_of_longer_contexts_weigh_most():
    law = count_law([1, 2, 3, 1, 2, 3, 1, 2], 6)
    assert abs(law.sum() - 1.0) < ROUNDING_ATOL
    assert (law > 0.0).all()
    assert law.argmax() == 3
    # Never seen at all: only the uniform law at the bottom gives it a chance.
    assert law[5] == law[0] == law.min()
    np.testing.assert_allclose(count_law([], 4), 0.25)
