from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory import information
from speclight.theory.laws import step_law

ROUNDING = 1e-12
WIDTH = 2.0**-8


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(11).dirichlet(np.full(12, 0.3), size=40)


def test_moments_are_those_of_the_unrounded_rows(rows):
    law = step_law.from_laws(rows, width=0.25)
    assert law.mu == pytest.approx(information.entropy(rows).mean(), abs=ROUNDING)
    assert law.mu2 == pytest.approx(information.second_log_moment(rows).mean(), abs=ROUNDING)
    assert (law.tokens, law.vocabulary_size) == (40, 12)


def test_mass_and_counts_by_hand():
    law = step_law.from_laws([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], width=float(np.log(2)))
    np.testing.assert_allclose(law.mass, [0.5, 0.25, 0.25], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(law.counts, [0.5, 0.5, 1.0], rtol=0, atol=ROUNDING)


def test_positions_are_rounded_down_but_lattice_points_stay():
    points = np.log(2) * np.arange(60)
    np.testing.assert_array_equal(step_law.bin_of(points, float(np.log(2))), np.arange(60))
    assert step_law.bin_of(0.0999, 0.1) == 0
    assert step_law.bin_of(-1e-9, 0.1) == 0


def test_weights_and_merging_agree(rows):
    parts = step_law.merged(
        step_law.from_laws(rows[:10], width=WIDTH), step_law.from_laws(rows[10:], width=WIDTH)
    )
    whole = step_law.from_laws(rows, width=WIDTH)
    weighted = step_law.from_laws(rows, np.full(40, 3.0), width=WIDTH)
    for law in (parts, weighted):
        np.testing.assert_allclose(law.mass, whole.mass, rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(law.counts, whole.counts, rtol=1e-9)
        assert law.mu == pytest.approx(whole.mu, abs=ROUNDING)
        assert law.mu2 == pytest.approx(whole.mu2, abs=ROUNDING)


def test_contexts_of_weight_zero_do_not_count(rows):
    first_only = step_law.from_laws(rows, np.eye(40)[0], width=WIDTH)
    assert first_only.mu == pytest.approx(float(information.entropy(rows[0])), abs=ROUNDING)


@given(factor=st.integers(1, 9))
def test_coarsening_is_rounding_down_at_the_wider_width(factor):
    rows = np.random.default_rng(3).dirichlet(np.full(9, 0.5), size=15)
    joined = step_law.coarsened(step_law.from_laws(rows, width=WIDTH), factor)
    direct = step_law.from_laws(rows, width=WIDTH * factor)
    np.testing.assert_allclose(joined.counts, direct.counts, rtol=1e-12)
    np.testing.assert_allclose(joined.mass, direct.mass, rtol=0, atol=ROUNDING)


def test_end_of_text_counts_in_the_moments_but_is_no_node():
    law = step_law.from_laws([[0.5, 0.25, 0.25]], width=WIDTH, end_tokens=[0])
    assert law.mu == pytest.approx(1.5 * np.log(2), abs=ROUNDING)
    assert law.mass.sum() == pytest.approx(0.5, abs=ROUNDING)
    assert law.counts.sum() == pytest.approx(2.0, abs=ROUNDING)
    sampled = step_law.from_surprisals([np.log(2), np.log(4)], ends=[True, False], width=WIDTH)
    assert sampled.mu == pytest.approx(1.5 * np.log(2), abs=ROUNDING)
    assert sampled.mass.sum() == pytest.approx(0.5, abs=ROUNDING)
    assert sampled.counts.sum() == pytest.approx(2.0, abs=1e-9)


def test_sampled_surprisals_estimate_the_same_law(rows):
    """Counts of sampled tokens against those of full rows, cumulated at 12 positions.

    Fixed seed, 200,000 draws. Threshold 5 standard errors at each of 12 positions: false alarm below
    7e-6. A bias of 5% in the counts at the median position is 20 standard errors: power > 0.99.
    """
    rng = np.random.default_rng(20260801)
    draws = 200_000
    contexts = rng.integers(0, len(rows), draws)
    edges = rows.cumsum(axis=1)
    tokens = np.minimum((rng.random(draws)[:, None] > edges[contexts]).sum(axis=1), rows.shape[1] - 1)
    sampled = -np.log(rows[contexts, tokens])
    width = 0.25
    full = step_law.from_laws(rows, width=width)
    estimate = step_law.from_surprisals(sampled, width=width)
    assert estimate.mu == pytest.approx(full.mu, abs=5 * sampled.std() / np.sqrt(draws))
    for position in range(1, 13):
        contributions = np.exp(sampled) * (step_law.bin_of(sampled, width) < position)
        error = contributions.std() / np.sqrt(draws)
        assert abs(estimate.counts[:position].sum() - full.counts[:position].sum()) < 5 * error


def test_histograms_round_trip(rows):
    law = step_law.from_laws(rows, width=WIDTH)
    again = step_law.from_histograms(
        WIDTH,
        law.mass * 40,
        law.counts * 40,
        surprisal_sum=law.mu * 40,
        squared_surprisal_sum=law.mu2 * 40,
        tokens=40,
        vocabulary_size=12,
    )
    np.testing.assert_allclose(again.counts, law.counts, rtol=1e-12)
    assert again.mu2 == pytest.approx(law.mu2, abs=ROUNDING)


@pytest.mark.parametrize(
    ("mass", "counts", "mu", "mu2"),
    [
        ([1.0], [0.5], 0.1, 0.02),  # fewer tokens than their probability
        ([0.5], [1.0], 0.1, 0.02),  # a token of probability 1/2 in a bin of [0, 1/8) nats
        ([1.0], [1.0], 0.1, 0.001),  # Jensen
        ([0.7, 0.7], [0.7, 0.8], 0.1, 0.02),  # mass above 1
        ([-0.1], [0.1], 0.1, 0.02),
        ([], [], 0.1, 0.02),
    ],
)
def test_contradictions_are_refused(mass, counts, mu, mu2):
    with pytest.raises(InvalidInput):
        step_law.StepLaw(0.125, np.array(mass), np.array(counts), mu, mu2, 1)


def test_other_bad_input_is_refused(rows):
    with pytest.raises(InvalidInput, match="finite nats"):
        step_law.from_surprisals([0.1, np.inf])
    with pytest.raises(InvalidInput, match="sum to 1"):
        step_law.from_laws([[0.5, 0.4]])
    with pytest.raises(InvalidInput, match="weights"):
        step_law.from_laws(rows, np.zeros(40))
    with pytest.raises(InvalidInput, match="coarsened"):
        step_law.merged(step_law.from_laws(rows, width=0.25), step_law.from_laws(rows, width=0.5))
    with pytest.raises(InvalidInput, match="width"):
        step_law.from_laws(rows, width=0.0)
