"""Prompt jackknife and cluster bootstrap: against plain recomputation, and against repeated sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.ergodic.bootstrap import (
    DualSums,
    basic_interval,
    bootstrap_values,
    jackknife,
    linearised_standard_error,
    minimised_value,
    ratio_standard_error,
    resample_prompts,
)
from speclight.theory.ergodic.bound import choose_thresholds, ergodic_renewal, ergodic_renewal_at
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.truth.ergodic_integral import ergodic_renewal_integral
from speclight.theory.truth.sources import reference_sources, sample_texts

# Sums of a few thousand terms of order one, in different orders.
ROUNDING_ATOL = 1e-9


def test_standard_error_of_a_plain_mean():
    numbers = np.array([1.0, 4.0, 2.0, 7.0])
    assert ratio_standard_error(numbers, np.ones(4)) == pytest.approx(
        numbers.std(ddof=1) / 2.0, abs=ROUNDING_ATOL
    )
    assert ratio_standard_error(np.append(numbers, 0.0), np.array([1.0, 1, 1, 1, 0])) == pytest.approx(
        numbers.std(ddof=1) / 2.0, abs=ROUNDING_ATOL
    )
    assert np.isnan(ratio_standard_error(np.ones(1), np.ones(1)))


def test_jackknife_of_a_plain_mean_has_no_bias():
    numbers = np.array([1.0, 4.0, 2.0, 7.0])
    result = jackknife(DualSums(numbers[:, None, None], np.ones(4)))
    assert result.bias == pytest.approx(0.0, abs=ROUNDING_ATOL)
    assert result.standard_error == pytest.approx(numbers.std(ddof=1) / 2.0, abs=ROUNDING_ATOL)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sums_per_prompt_reproduce_the_integral_on_other_sets_of_prompts(seed):
    """Leaving prompts out, or drawing them twice, by sums per prompt equals doing it with the texts.

    Candidates lie within 5% of the distance a minimum moves, so the two agree to 0.25% of how far the value
    moved; 1% of the move, plus rounding, is allowed."""
    rng = np.random.default_rng(seed)
    prompts = [
        [SampledText(rng.exponential(0.7, 30), bool(rng.random() < 0.3), str(g)) for _ in range(2)]
        for g in range(8)
    ]
    texts = [text for prompt in prompts for text in prompt]
    value = ergodic_renewal(texts, 10).value
    left_out = [
        ergodic_renewal_integral([text for h in range(8) if h != g for text in prompts[h]], 10)
        for g in range(8)
    ]
    bias = 7 * (np.mean(left_out) - value)
    move = 7 * np.abs(np.array(left_out) - value).max()
    assert abs(ergodic_renewal(texts, 10).bias - bias) < 0.01 * move + ROUNDING_ATOL
    draws = resample_prompts(8, 5, rng)
    interval = ergodic_renewal(texts, 10, draws=draws, level=0.5).interval
    replicas = [
        ergodic_renewal_integral(
            [
                SampledText(text.surprisals, text.ended, f"{text.prompt_id}.{i}")
                for g in range(8)
                for i in range(row[g])
                for text in prompts[g]
            ],
            10,
        )
        for row in draws
    ]
    expected = basic_interval(value, np.array(replicas), 0.5)
    spread = np.abs(np.array(replicas) - value).max()
    assert interval is not None
    assert abs(interval.lower - expected.lower) < 0.01 * spread + ROUNDING_ATOL
    assert abs(interval.upper - expected.upper) < 0.01 * spread + ROUNDING_ATOL


@pytest.mark.slow
def test_errors_and_bias_describe_repeated_sampling():
    """120 sets of 12 prompts, Dirichlet source, four strata, P = 16.

    The values' spread (its own error: 6.5%) is within 30% of the mean stated SE. The bias of minimising is
    the value minus the value at thresholds fixed by 1000 other prompts, on the same texts: about -0.0056,
    14 SE from 0. The mean jackknife bias must equal it within 4 SE of the paired difference (false alarm
    6e-5); no correction, or one of the wrong sign, would lie 9 SE away or more."""
    source = reference_sources()[4]
    rng = np.random.default_rng(31)
    others = sample_texts(source, rng.random((1000, 96, 3)))
    strata = quantile_strata(others, 4)
    fixed = choose_thresholds(others, 16, strata)
    sets = [sample_texts(source, rng.random((12, 96, 3))) for _ in range(120)]
    minimised = [ergodic_renewal(texts, 16, strata) for texts in sets]
    unbiased = np.array([ergodic_renewal_at(texts, fixed).value for texts in sets])
    values, biases, errors = (
        np.array([getattr(run, name) for run in minimised]) for name in ("value", "bias", "standard_error")
    )
    assert 0.7 < errors.mean() / values.std() < 1.3
    assert (values - unbiased).mean() < -0.003
    unexplained = values - unbiased - biases
    assert abs(unexplained.mean()) < 4 * unexplained.std() / np.sqrt(len(sets))


def test_bootstrap_spread_agrees_with_the_linearised_error():
    """2000 replicas of 60 prompts: the replicas' spread has a relative error of 1.6%, 15% is allowed."""
    source = reference_sources()[8]
    texts = sample_texts(source, np.random.default_rng(5).random((60, 100, 3)))
    draws = resample_prompts(60, 2000, np.random.default_rng(6))
    estimate = ergodic_renewal(texts, 16, draws=draws, level=0.95)
    assert estimate.interval is not None
    half_width = (estimate.interval.upper - estimate.interval.lower) / 2
    assert half_width == pytest.approx(1.96 * estimate.standard_error, rel=0.15)


def test_minimum_is_taken_per_stratum_after_summing():
    dual = np.array([[[1.0, 3.0], [5.0, 0.0]], [[2.0, 1.0], [1.0, 2.0]]])
    sums = DualSums(dual, np.array([1.0, 1.0]))
    assert minimised_value(sums) == pytest.approx((3.0 + 2.0) / 2)
    replicas = bootstrap_values(sums, np.array([[2, 0], [0, 2], [1, 1]]))
    np.testing.assert_allclose(replicas, [(2 + 0) / 2, (2 + 2) / 2, 2.5])
    # Residuals at the chosen columns: 1 + 0 - 2.5 and 2 + 2 - 2.5.
    assert linearised_standard_error(sums) == pytest.approx(np.sqrt(2 * (1.5**2 + 1.5**2)) / 2)


def test_wrong_sizes_are_refused():
    sums = DualSums(np.ones((2, 1, 1)), np.ones(2))
    with pytest.raises(InvalidInput, match="3 prompts"):
        bootstrap_values(sums, np.ones((4, 3), dtype=np.int64))
    with pytest.raises(InvalidInput, match="at least one"):
        resample_prompts(0, 10, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        basic_interval(1.0, np.ones(3), 1.0)
