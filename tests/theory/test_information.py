from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from speclight.errors import InvalidInput
from speclight.theory import information

ROUNDING = 1e-12  # sums of at most 20 float64 terms of order 10


@st.composite
def laws(draw: st.DrawFn, tokens: int = 6) -> np.ndarray:
    raw = draw(arrays(np.float64, tokens, elements=st.floats(0.0, 1.0)))
    raw[draw(st.integers(0, tokens - 1))] += 0.5
    return raw / raw.sum()


def test_uniform_law_has_the_log_of_its_size():
    law = np.full(8, 1 / 8)
    np.testing.assert_allclose(information.entropy(law), np.log(8), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(information.second_log_moment(law), np.log(8) ** 2, rtol=0, atol=ROUNDING)


def test_a_certain_token_carries_nothing():
    law = np.array([0.0, 1.0, 0.0])
    assert information.entropy(law) == 0.0
    assert information.second_log_moment(law) == 0.0


@given(laws(), laws())
def test_chain_of_identities(first, second):
    cross = information.cross_entropy(first, second)
    divergence = information.kl_divergence(first, second)
    if np.isfinite(cross):
        np.testing.assert_allclose(cross, information.entropy(first) + divergence, rtol=1e-9, atol=1e-9)
    else:
        assert divergence == np.inf
    total = information.total_variation(first, second)
    np.testing.assert_allclose(total + information.overlap(first, second), 1.0, rtol=0, atol=ROUNDING)
    # Pinsker's inequality
    assert total**2 <= divergence / 2 + ROUNDING


@given(laws())
def test_second_moment_obeys_jensen(law):
    assert information.second_log_moment(law) >= information.entropy(law) ** 2 - ROUNDING
    assert information.kl_divergence(law, law) == 0.0


def test_rows_are_taken_one_by_one():
    rows = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(information.entropy(rows), [np.log(2), 0.0], rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(information.kl_divergence(rows, rows[1]), [np.inf, 0.0])


def test_bits_and_nats():
    assert information.nats_to_bits(np.log(8)) == pytest.approx(3.0, abs=ROUNDING)
    assert information.bits_to_nats(information.nats_to_bits(0.7)) == pytest.approx(0.7, abs=ROUNDING)


@pytest.mark.parametrize("bad", [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], []])
def test_what_is_no_law_is_refused(bad):
    with pytest.raises(InvalidInput):
        information.entropy(np.array(bad))


def test_different_vocabularies_are_refused():
    with pytest.raises(InvalidInput, match="vocabularies"):
        information.kl_divergence(np.array([1.0]), np.array([0.5, 0.5]))
