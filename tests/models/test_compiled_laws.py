"""Laws by compiled loops are those in numpy."""

import numpy as np
import pytest
import torch

from speclight.models import openmp
from speclight.models.compiled_laws import LEAST_VOCABULARY, can_compile_laws, compiled_laws
from speclight.models.sampling import SamplingSettings, laws_row_by_row, processed_probabilities

# Float64: a few roundings in the exponential and in sums of up to 50,000 numbers.
RTOL = 1e-14
# Beside the largest probability these are no normal numbers; the loops take them for 0.
ATOL = 1e-300
SIZES = (LEAST_VOCABULARY, LEAST_VOCABULARY + 1, 12_289, 49_152)


def made(rows, vocabulary, spread, seed=0):
    logits = spread * np.random.default_rng(seed).standard_normal((rows, vocabulary))
    logits[0, ::7] = -np.inf
    return logits.astype(np.float32)


def largest_of(logits):
    return logits.max(axis=1).astype(np.float64)


@pytest.mark.parametrize("vocabulary", SIZES)
@pytest.mark.parametrize("temperature", [0.01, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("spread", [0.1, 4.0, 300.0])
def test_equal_to_the_plain_version(vocabulary, temperature, spread):
    logits = made(3, vocabulary, spread)
    plain = laws_row_by_row(logits, logits.max(axis=1, keepdims=True), SamplingSettings(temperature))
    # The scores over the temperature are rounded, and their roundings are multiples of the law.
    scores = np.abs(np.where(np.isfinite(logits), logits, 0.0)).max() / temperature
    np.testing.assert_allclose(
        compiled_laws(logits, largest_of(logits), temperature),
        plain,
        rtol=RTOL + 4.0 * np.finfo(np.float64).eps * scores,
        atol=ATOL,
    )
    assert (plain[0, ::7] == 0.0).all()


def test_a_law_depends_neither_on_threads_nor_on_other_rows():
    logits, before = made(5, 20_000, 4.0), torch.get_num_threads()
    alone = np.concatenate([compiled_laws(row[None], largest_of(row[None]), 0.9) for row in logits])
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            assert np.array_equal(compiled_laws(logits, largest_of(logits), 0.9), alone)
    finally:
        torch.set_num_threads(before)


def test_the_law_that_is_sampled_from_is_this_one_where_it_can_be(monkeypatch):
    logits = made(2, LEAST_VOCABULARY, 4.0)
    compiled = compiled_laws(logits, largest_of(logits), 0.7)
    assert np.array_equal(processed_probabilities(logits, SamplingSettings(0.7)), compiled)
    others = (logits.astype(np.float64), logits[:, :-1], logits[:, ::-1], np.asfortranarray(logits))
    assert not any(can_compile_laws(other, 0.7) for other in others)
    assert not can_compile_laws(logits, 1e-310)  # whose inverse is infinite
    monkeypatch.setattr(openmp, "_library", lambda: None)
    plain = processed_probabilities(logits, SamplingSettings(0.7))
    np.testing.assert_allclose(plain, compiled, rtol=RTOL, atol=0)
    assert not np.array_equal(plain, compiled)  # in the last bits: another way has been taken


def test_all_mass_on_one_token():
    logits = np.full((1, LEAST_VOCABULARY), -1e30, np.float32)
    logits[0, 17] = 0.0
    law = compiled_laws(logits, largest_of(logits), 1.0)
    assert law[0, 17] == 1.0
    assert law.sum() == 1.0
