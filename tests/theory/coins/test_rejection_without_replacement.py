"""Rejection without replacement: the fast exact form, the sampled form, and the rule by its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from law_pairs import CORNER_PAIRS, corner_pair, law_pairs, random_pairs
from speclight.errors import InvalidInput
from speclight.theory.coins.rejection_without_replacement import (
    acceptance_without_replacement,
    estimate_acceptance_without_replacement,
    rejection_without_replacement,
)
from speclight.theory.information import overlap

# Sums of at most a few thousand products of float64 probabilities.
ROUNDING_ATOL = 1e-12
STANDARD_ERRORS = 4.0


def simulate(target, drafter, candidates, rng, calls):
    """Flip the coins of the rule as an engine would; index of the accepted candidate (or none) and token."""
    accepted, emitted = np.zeros(candidates + 1), np.zeros(len(target))
    for _ in range(calls):
        residual, undrawn = target, drafter
        outcome = candidates
        for position in range(candidates):
            if undrawn.sum() <= 0.0:
                break
            proposal = undrawn / undrawn.sum()
            token = int(rng.choice(len(target), p=proposal))
            if rng.random() < residual[token] / proposal[token]:
                outcome = position
                break
            left = np.maximum(residual - proposal, 0.0)
            residual = left / left.sum()
            undrawn = np.where(np.arange(len(target)) == token, 0.0, undrawn)
        if outcome == candidates:
            token = int(rng.choice(len(target), p=residual))
        accepted[outcome] += 1
        emitted[token] += 1
    return accepted / calls, emitted / calls


@pytest.mark.slow
def test_definition_against_simulation():
    """8 pairs x (3 candidates + up to 6 tokens), 4 SE at 3000 calls: family false alarm below 0.5%.
    Power: an acceptance off by 0.06 is more than 6 standard errors.
    """
    rng, calls = np.random.default_rng(61), 3000
    for target, drafter in random_pairs(8, seed=62):
        law = rejection_without_replacement(target, drafter, 3)
        accepted, emitted = simulate(target, drafter, 3, rng, calls)
        for seen, exact in ((accepted[:3], law.by_candidate), (emitted, law.output)):
            spread = np.sqrt(np.maximum(exact * (1 - exact), 1 / calls) / calls)
            assert (np.abs(seen - exact) <= STANDARD_ERRORS * spread).all()


@given(law_pairs(largest_vocabulary=5), st.integers(1, 4))
def test_fast_form_equals_the_definition_and_is_lossless(pair, candidates):
    law = rejection_without_replacement(*pair, candidates)
    fast = acceptance_without_replacement(*pair, candidates)
    np.testing.assert_allclose(fast, law.by_candidate, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(law.output, pair[0], rtol=0, atol=ROUNDING_ATOL)


@pytest.mark.parametrize("name", CORNER_PAIRS)
@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_fast_equals_plain_on_corner_pairs(name, candidates):
    target, drafter = corner_pair(name)
    law = rejection_without_replacement(target, drafter, candidates)
    np.testing.assert_allclose(law.output, target, rtol=0, atol=ROUNDING_ATOL)
    fast = acceptance_without_replacement(target, drafter, candidates)
    np.testing.assert_allclose(fast, law.by_candidate, rtol=0, atol=ROUNDING_ATOL)
    uniforms = np.random.default_rng(63).random((200, candidates - 1))
    estimate = estimate_acceptance_without_replacement(target, drafter, uniforms)
    assert abs(estimate.acceptance - fast.sum()) <= (
        STANDARD_ERRORS * estimate.acceptance_standard_error + ROUNDING_ATOL
    )


def test_all_tokens_drafted_means_all_of_the_drafters_support_is_met():
    """With as many candidates as tokens the emitted token is always a draft, though maybe not as accepted."""
    target, drafter = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.3, 0.1])
    accepted = acceptance_without_replacement(target, drafter, 3)
    assert accepted[0] == pytest.approx(float(overlap(target, drafter)), abs=ROUNDING_ATOL)
    assert accepted.sum() == pytest.approx(1.0, abs=ROUNDING_ATOL)


def test_later_candidates_can_be_likelier():
    """p = (1/2, 1/2, 0), q = (0.01, 0.01, 0.98): the rejected token 2 leaves exactly the target's law."""
    accepted = acceptance_without_replacement(np.array([0.5, 0.5, 0.0]), np.array([0.01, 0.01, 0.98]), 2)
    np.testing.assert_allclose(accepted, [0.02, 0.98], rtol=0, atol=ROUNDING_ATOL)


def test_estimate_is_unbiased():
    """30 pairs x 4 candidates at 4000 histories against the exact form: false alarm 120 x 6.3e-5 = 0.8%.
    Power: noise that is not uniform is seen (next test).
    """
    rng = np.random.default_rng(64)
    for target, drafter in random_pairs(30, seed=65):
        exact = acceptance_without_replacement(target, drafter, 4)
        estimate = estimate_acceptance_without_replacement(target, drafter, rng.random((4000, 3)))
        allowed = STANDARD_ERRORS * estimate.standard_errors + ROUNDING_ATOL
        assert (np.abs(estimate.by_candidate - exact) <= allowed).all()
        assert estimate.standard_errors[0] == pytest.approx(0.0, abs=ROUNDING_ATOL)


def test_estimate_depends_on_its_uniforms_as_an_inverse_law():
    """Skewed uniforms must give another answer, or the agreement above would show nothing."""
    target, drafter = np.array([0.1, 0.1, 0.3, 0.5]), np.array([0.5, 0.3, 0.15, 0.05])
    exact = acceptance_without_replacement(target, drafter, 3)
    uniforms = np.random.default_rng(66).random((4000, 2))
    skewed = estimate_acceptance_without_replacement(target, drafter, uniforms**3)
    assert (np.abs(skewed.by_candidate - exact) > 2 * STANDARD_ERRORS * skewed.standard_errors + 1e-6).any()


def test_the_estimate_equals_the_exact_form_on_a_large_vocabulary():
    """1500 tokens and three candidates: the estimate against the exact form (2.25 million histories)."""
    rng = np.random.default_rng(67)
    logits = rng.normal(size=1500) * 2.0
    target, drafter = np.exp(logits), np.exp(logits + 0.7 * rng.normal(size=1500))
    target, drafter = target / target.sum(), drafter / drafter.sum()
    exact = acceptance_without_replacement(target, drafter, 3)
    estimate = estimate_acceptance_without_replacement(target, drafter, rng.random((3000, 2)))
    allowed = STANDARD_ERRORS * estimate.standard_errors + ROUNDING_ATOL
    assert (np.abs(estimate.by_candidate - exact) <= allowed).all()


def test_too_many_histories_and_bad_uniforms_are_refused():
    flat = np.full(100, 0.01)
    with pytest.raises(InvalidInput, match="histories"):
        acceptance_without_replacement(flat, flat, 5)
    with pytest.raises(InvalidInput, match="histories"):
        rejection_without_replacement(flat, flat, 4)
    for uniforms in (np.zeros((1, 3)), np.ones((5, 3)), np.zeros(4)):
        with pytest.raises(InvalidInput, match="uniforms"):
            estimate_acceptance_without_replacement(flat, flat, uniforms)
