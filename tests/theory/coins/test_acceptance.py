"""Acceptance of coin-flipping rules: against enumeration of drafts and coins, limits, corner pairs."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from law_pairs import CORNER_PAIRS, corner_pair, law_pairs
from speclight.errors import InvalidInput
from speclight.theory.coins.acceptance import (
    deterministic_top,
    division_factor,
    hybrid,
    k_seq,
    rejection_with_replacement,
    single_draft_rejection,
)
from speclight.theory.information import overlap

# Sums of at most a few thousand products of float64 probabilities.
ROUNDING_ATOL = 1e-12
candidate_counts = st.integers(1, 3)


def enumerated(target, drafter, candidates, chance_and_residual):
    """Acceptance and output law of a rule by its definition, over all tuples of independent drafts.

    chance_and_residual(residual, token) -> (chance to accept it, target's residual law after a rejection).
    """
    accepted, output = np.zeros(candidates), np.zeros(len(target))
    for drafts in product(np.flatnonzero(drafter), repeat=candidates):
        weight, residual = float(np.prod(drafter[list(drafts)])), target
        for position, token in enumerate(drafts):
            chance, following = chance_and_residual(residual, token)
            accepted[position] += weight * chance
            output[token] += weight * chance
            weight *= 1.0 - chance
            if weight == 0.0:
                break
            residual = following
        output += weight * residual
    return accepted, output


@given(law_pairs(largest_vocabulary=4), candidate_counts)
def test_rejection_with_replacement_equals_enumeration(pair, candidates):
    target, drafter = pair

    def rule(residual, token):
        left = np.maximum(residual - drafter, 0.0)
        return min(1.0, residual[token] / drafter[token]), left / left.sum() if left.sum() else left

    accepted, output = enumerated(target, drafter, candidates, rule)
    law = rejection_with_replacement(target, drafter, candidates)
    np.testing.assert_allclose(law.by_candidate, accepted, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(law.output, output, rtol=0, atol=ROUNDING_ATOL)


@given(law_pairs(largest_vocabulary=4), candidate_counts)
def test_k_seq_equals_enumeration(pair, candidates):
    target, drafter = pair
    factor = division_factor(target, drafter, candidates)
    beta = np.minimum(drafter, target / factor).sum()
    tries = sum((1 - beta) ** i for i in range(candidates))
    left = np.maximum(target - np.minimum(drafter, target / factor) * tries, 0.0)
    residual = left / left.sum() if left.sum() else left

    def rule(_, token):
        return min(1.0, target[token] / (factor * drafter[token])), residual

    accepted, output = enumerated(target, drafter, candidates, rule)
    law = k_seq(target, drafter, candidates)
    np.testing.assert_allclose(law.by_candidate, accepted, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(law.output, output, rtol=0, atol=ROUNDING_ATOL)


@given(law_pairs(), st.integers(1, 40))
def test_lossless_and_rejection_never_accepts_later_candidates_more(pair, candidates):
    target, drafter = pair
    rejection, seq = rejection_with_replacement(*pair, candidates), k_seq(*pair, candidates)
    np.testing.assert_allclose(rejection.output, target, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(seq.output, target, rtol=0, atol=ROUNDING_ATOL)
    assert (np.diff(rejection.by_candidate) <= ROUNDING_ATOL).all()
    assert rejection.acceptance <= 1.0 + ROUNDING_ATOL
    assert 1.0 <= division_factor(target, drafter, candidates) <= candidates


@given(law_pairs())
def test_one_candidate_is_the_overlap_for_every_rule(pair):
    once = float(overlap(*pair))
    assert single_draft_rejection(*pair) == once
    assert rejection_with_replacement(*pair, 1).acceptance == pytest.approx(once, abs=ROUNDING_ATOL)
    assert k_seq(*pair, 1).acceptance == pytest.approx(once, abs=ROUNDING_ATOL)
    assert hybrid(*pair, 1) == pytest.approx(once, abs=ROUNDING_ATOL)


@given(law_pairs(), st.integers(2, 12))
def test_division_factor_is_the_smallest_that_keeps_the_residual_positive(pair, candidates):
    target, drafter = pair
    factor = division_factor(target, drafter, candidates)

    def surplus(rho):
        beta = np.minimum(drafter, target / rho).sum()
        return rho * beta - (1 - (1 - beta) ** candidates)

    assert surplus(factor) >= -ROUNDING_ATOL
    if factor > 1.001 and overlap(target, drafter) > 0:
        # rho beta grows and the acceptance falls with rho, so anything clearly smaller fails.
        assert surplus(0.999 * factor) < ROUNDING_ATOL


@pytest.mark.parametrize("name", CORNER_PAIRS)
@pytest.mark.parametrize("candidates", [1, 2, 5])
def test_rules_are_lossless_on_corner_pairs(name, candidates):
    target, drafter = corner_pair(name)
    for law in (rejection_with_replacement(target, drafter, candidates), k_seq(target, drafter, candidates)):
        np.testing.assert_allclose(law.output, target, rtol=0, atol=ROUNDING_ATOL)
        assert (law.by_candidate >= 0.0).all()
        assert law.acceptance <= float(target[drafter > 0].sum()) + ROUNDING_ATOL
    assert 0.0 <= hybrid(target, drafter, candidates) <= 1.0 + ROUNDING_ATOL


def test_equal_laws_are_accepted_at_once_and_disjoint_never():
    for rule in (rejection_with_replacement, k_seq):
        np.testing.assert_allclose(
            rule(*corner_pair("equal"), 3).by_candidate, [1.0, 0.0, 0.0], rtol=0, atol=ROUNDING_ATOL
        )
        assert rule(*corner_pair("disjoint"), 3).acceptance == pytest.approx(0.0, abs=ROUNDING_ATOL)


def test_hybrid_and_deterministic_top_by_hand():
    """p = (.1, .2, .3, .4), q = (.4, .3, .2, .1), three candidates: S = {0, 1}, then 2 : 1 on the others."""
    target, drafter = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
    assert deterministic_top(target, drafter, 3) == pytest.approx(0.6, abs=ROUNDING_ATOL)
    assert hybrid(target, drafter, 3) == pytest.approx(0.3 + 0.3 + 1 / 3, abs=ROUNDING_ATOL)
    # Tokens the drafter cannot propose are in no top k.
    assert deterministic_top(*corner_pair("zeros in drafter"), 4) == pytest.approx(0.3, abs=ROUNDING_ATOL)
    assert hybrid(*corner_pair("zeros in drafter"), 4) == pytest.approx(0.3, abs=ROUNDING_ATOL)


@given(law_pairs(), st.integers(1, 5))
def test_hybrid_beats_the_same_tokens_without_the_last_draft(pair, candidates):
    assert hybrid(*pair, candidates + 1) >= deterministic_top(*pair, candidates) - ROUNDING_ATOL


def test_bad_candidate_counts_are_refused():
    for rule in (rejection_with_replacement, k_seq, hybrid, deterministic_top):
        with pytest.raises(InvalidInput, match="candidates"):
            rule(*corner_pair("equal"), 0)
