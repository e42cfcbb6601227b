"""The synthetic sources: their moments against closed forms, their texts against their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.truth.sources import (
    TokenSource,
    dirichlet_moments,
    dirichlet_source,
    draw,
    iid_source,
    near_deterministic_source,
    reference_sources,
    sample_texts,
    stationary_law,
    sticky_source,
    tabular_source,
    uniform_source,
    zipf_source,
)

# Two float64 evaluations of one formula with a few hundred terms.
ROUNDING_ATOL = 1e-12


@given(st.integers(2, 200))
def test_uniform_moments_are_powers_of_the_log_vocabulary(vocabulary_size):
    source = uniform_source(vocabulary_size)
    log_size = np.log(vocabulary_size)
    assert source.mu == pytest.approx(log_size, abs=ROUNDING_ATOL)
    assert source.mu2 == pytest.approx(log_size**2, abs=10 * ROUNDING_ATOL)


def test_moments_of_a_law_with_an_impossible_token():
    source = iid_source("skewed", np.array([[0.8, 0.2, 0.0]]))
    assert source.mu == pytest.approx(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)), abs=ROUNDING_ATOL)
    assert source.mu2 == pytest.approx(0.8 * np.log(0.8) ** 2 + 0.2 * np.log(0.2) ** 2, abs=ROUNDING_ATOL)


@given(st.integers(1, 50), st.integers(2, 100))
def test_dirichlet_moments_are_harmonic_sums_at_whole_concentrations(concentration, vocabulary_size):
    moments = dirichlet_moments(concentration, vocabulary_size)
    terms = 1.0 / np.arange(concentration + 1, concentration * vocabulary_size + 1)
    assert moments.mu == pytest.approx(terms.sum(), rel=ROUNDING_ATOL)
    assert moments.mu2 == pytest.approx(terms.sum() ** 2 + (terms**2).sum(), rel=ROUNDING_ATOL)


@pytest.mark.parametrize("concentration", [0.05, 0.3, 2.0])
def test_dirichlet_pool_approaches_the_closed_form(concentration):
    """Pool means within 5 standard errors of the closed form. Two means for each of three concentrations:
    false alarm below 4e-6 in all; a mean wrong by 5% is caught with power above 0.99 (SE below 0.7%)."""
    source = dirichlet_source(concentration, 8, 20_000, np.random.default_rng(3))
    exact = dirichlet_moments(concentration, 8)
    logs = np.log(np.where(source.laws > 0, source.laws, 1.0))
    for power, expected, actual in ((1, exact.mu, source.mu), (2, exact.mu2, source.mu2)):
        per_row = (source.laws * (-logs) ** power).sum(axis=-1)
        assert per_row.mean() == pytest.approx(actual, abs=ROUNDING_ATOL)
        standard_error = per_row.std() / np.sqrt(per_row.size)
        assert standard_error < 0.02 * expected
        assert abs(actual - expected) < 5 * standard_error


def test_near_deterministic_share_is_the_share_of_easy_rows():
    source = near_deterministic_source(0.6, 0.02, 8)
    easy = source.laws[0, :, 0] > 0.9
    assert easy.mean() == pytest.approx(0.6, abs=ROUNDING_ATOL)


def test_ten_reference_sources_are_the_same_at_every_call():
    first, second = reference_sources(), reference_sources()
    assert len(first) == 10
    assert len({source.name for source in first}) == 10
    assert sum(not source.is_iid for source in first) == 2
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.laws, other.laws)


def test_stationary_law_of_a_known_chain():
    law = stationary_law(np.array([[0.9, 0.1], [0.3, 0.7]]))
    np.testing.assert_allclose(law, [0.75, 0.25], rtol=0, atol=ROUNDING_ATOL)


def test_sampled_surprisals_have_mean_mu_and_second_moment_mu2():
    """On an i.i.d. source surprisals are independent draws of the step law (mean mu, second moment mu2).

    Four means within 5 standard errors: false alarm 2.4e-6. 40,000 tokens give SE near 0.5%, so swapped or
    shifted surprisals are caught with power above 0.999."""
    rng = np.random.default_rng(5)
    for source in (zipf_source(200, 1.2), dirichlet_source(0.3, 8, 512, rng)):
        surprisals = np.concatenate(
            [text.surprisals for text in sample_texts(source, rng.random((200, 200, 3)))]
        )
        for power, expected in ((1, source.mu), (2, source.mu2)):
            sample = surprisals**power
            assert abs(sample.mean() - expected) < 5 * sample.std() / np.sqrt(len(sample))


def test_sticky_source_makes_easy_contexts_cluster():
    """Features are entropies of the contexts, so runs of one type show. Over 40,000 transitions the share
    of stays has SE 0.0011; five of them are allowed (false alarm 6e-7; power 1 against independence)."""
    source = sticky_source(0.95, 0.02, 8)
    texts = sample_texts(source, np.random.default_rng(7).random((200, 201, 3)))
    same = [np.diff(text.features) == 0 for text in texts if text.features is not None]
    assert abs(np.concatenate(same).mean() - 0.95) < 5 * 0.0011
    assert np.allclose(source.start, 0.5)


def test_texts_end_at_the_end_of_text_token_and_keep_its_surprisal():
    laws = np.array([[[0.5, 0.25, 0.25]]])
    source = TokenSource("ending", laws, np.ones((1, 3, 1)), np.ones(1), end_of_text=0)
    texts = sample_texts(source, np.random.default_rng(2).random((500, 6, 3)))
    for text in texts:
        continued = text.surprisals[:-1] if text.ended else text.surprisals
        np.testing.assert_allclose(continued, np.log(4.0), rtol=0, atol=ROUNDING_ATOL)
        assert not text.ended or text.surprisals[-1] == np.log(2.0)
        assert text.ended or len(text) == 6
    assert {text.ended for text in texts} == {True, False}


@given(st.integers(0, 2**32 - 1))
def test_draw_never_picks_an_impossible_outcome(seed):
    rng = np.random.default_rng(seed)
    laws = np.array([[0.0, 0.5, 0.5, 0.0]] * 3)
    outcomes = draw(laws, np.array([0.0, rng.random(), np.nextafter(1.0, 0.0)]))
    assert outcomes[0] == 1
    assert outcomes[2] == 2
    assert np.isin(outcomes, (1, 2)).all()


def test_tabular_source_fixes_the_next_state():
    source = tabular_source(4, 3, np.random.default_rng(0))
    assert np.isin(source.next_type, (0.0, 1.0)).all()
    transition = np.einsum("jv,jvk->jk", source.laws[:, 0], source.next_type)
    np.testing.assert_allclose(source.start @ transition, source.start, rtol=0, atol=ROUNDING_ATOL)


def test_a_row_that_is_no_law_is_refused():
    with pytest.raises(InvalidInput, match="summing to 1"):
        iid_source("broken", np.array([[0.5, 0.4]]))
    with pytest.raises(InvalidInput, match="next_type"):
        TokenSource("broken", np.ones((1, 1, 1)), np.ones((2, 1, 2)), np.ones(1))
