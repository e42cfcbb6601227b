from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.iid import lemma_7 as imperfect_drafter
from speclight.theory.iid.lemma_7 import drafter_moments
from speclight.theory.laws import step_law

ROUNDING = 1e-9
MISSING = ([[0.45, 0.45, 0.1]], [[0.5, 0.5, 0.0]])  # target says a third token one time in ten


def expected_tokens(target, drafter, budget: int) -> float:
    """E[X] of the drafter's best tree, one law each: sum of the target's P(v) over the P largest Q(v)."""
    queue = [(-1.0, 0, 1.0)]
    order, total = 0, 0.0
    for _ in range(budget):
        negative, _, accepted = heapq.heappop(queue)
        total += accepted
        for p, q in zip(target, drafter, strict=True):
            if q > 0.0:
                order += 1  # of equal Q the older node first: which one does not matter to the bound
                heapq.heappush(queue, (negative * q, order, accepted * p))
    return total


def test_the_three_readings_of_mu_ce_differ_where_misses_do():
    moments = drafter_moments(*MISSING)
    assert moments.miss_probability == pytest.approx(0.1)
    assert moments.cross_entropy_on_hits == pytest.approx(0.9 * np.log(2))
    assert moments.mean_ratio == pytest.approx(np.log(2))
    assert moments.conditional == pytest.approx(np.log(2))
    assert moments.full_cross_entropy == np.inf
    uneven = drafter_moments([[0.5, 0.5], [0.9, 0.1]], [[1.0, 0.0], [0.5, 0.5]])
    assert uneven.mean_ratio == pytest.approx(0.5 * np.log(2))
    assert uneven.conditional == pytest.approx(0.5 * np.log(2) / 0.75)
    perfect = drafter_moments([[0.5, 0.5]], [[0.5, 0.5]])
    assert perfect.full_cross_entropy == perfect.conditional == perfect.mean_ratio == pytest.approx(np.log(2))


@given(
    st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3),
    st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3),
    st.booleans(),
    st.sampled_from([1, 2, 5, 17, 50]),
)
def test_finite_budget_forms_lie_below_the_truth(raw_target, raw_drafter, misses, budget):
    target = np.array(raw_target) / np.sum(raw_target)
    drafter = np.array(raw_drafter) * [1.0, 1.0, 0.0 if misses else 1.0]
    drafter /= drafter.sum()
    truth = expected_tokens(target.tolist(), drafter.tolist(), budget)
    moments = drafter_moments([target], [drafter])
    law = step_law.from_laws([drafter], width=2.0**-9)
    measured = imperfect_drafter.lemma_7_corrected(
        moments.cross_entropy_on_hits, moments.miss_probability, law, budget
    )
    two = imperfect_drafter.lemma_7_corrected_two_moments(
        moments.cross_entropy_on_hits, moments.miss_probability, law.mu, law.mu2, budget
    )
    assert 1.0 <= measured.value <= truth + ROUNDING
    assert 1.0 <= two.value <= truth + ROUNDING
    assert measured.side == two.side == "lower"
    assert measured.origin == "corrected"


def test_finite_budget_form_is_not_idle():
    moments = drafter_moments(*MISSING)
    law = step_law.from_laws(MISSING[1], width=float(np.log(2)) / 16)
    arguments = (moments.cross_entropy_on_hits, moments.miss_probability)
    # Uniform drafter, P = 1023, truth 6.513: Markov's inequality costs a third, exact knowledge of T_q less.
    markov = imperfect_drafter.lemma_7_corrected(*arguments, law, 1023).value
    assert markov == pytest.approx(3.8324, abs=1e-4)
    exact = imperfect_drafter.lemma_7_corrected_at_threshold(*arguments, 10 * float(np.log(2)), 0.0)
    assert exact.value == pytest.approx(10 / 1.9)


def test_without_misses_all_forms_agree_to_leading_order():
    printed = imperfect_drafter.lemma_7_printed(0.6, 0.0, 60)
    corrected = imperfect_drafter.lemma_7_corrected_leading_order(0.6, 0.0, 60)
    assert printed.value == pytest.approx(corrected.value) == pytest.approx(np.log(60) / 0.6)
    assert printed.side == corrected.side == "asymptotic"
    assert (printed.origin, corrected.origin) == ("as printed", "corrected")


def test_corrected_leading_order_is_the_sum_of_both_ends():
    value = imperfect_drafter.lemma_7_corrected_leading_order(0.6, 0.05, 60).value
    assert 1 / value == pytest.approx(0.6 / np.log(60) + 0.05)
    printed = imperfect_drafter.lemma_7_printed(0.6, 0.05, 60)
    assert value < printed.value
    assert imperfect_drafter.lemma_7_printed(0.0, 0.25, 60).value == 4.0
    assert imperfect_drafter.lemma_7_corrected_leading_order(0.6, 0.05, 1).value == 0.0


def test_bad_input_is_refused():
    with pytest.raises(InvalidInput, match="vocabulary"):
        drafter_moments([[0.5, 0.5]], [[1.0]])
    with pytest.raises(InvalidInput, match="probability 0"):
        drafter_moments([[1.0, 0.0]], [[0.0, 1.0]])
    with pytest.raises(InvalidInput, match="cross-entropy"):
        imperfect_drafter.lemma_7_printed(np.inf, 0.1, 4)
    with pytest.raises(InvalidInput, match="miss probability"):
        imperfect_drafter.lemma_7_corrected_leading_order(0.5, 1.1, 4)
    with pytest.raises(InvalidInput, match="threshold"):
        imperfect_drafter.lemma_7_corrected_at_threshold(0.5, 0.1, 0.0, 0.0)
    with pytest.raises(InvalidInput, match="step law"):
        imperfect_drafter.lemma_7_corrected_two_moments(0.5, 0.1, 0.0, 0.0, 4)
