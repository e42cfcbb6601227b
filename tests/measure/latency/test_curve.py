"""The curve holds what was measured, straight lines in between, and says so where it knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve, Fall

NODES, CONTEXTS = [1, 2, 8, 16], [10, 30]
MEDIANS = np.array([[1.0, 1.05, 4.0, 2.0], [2.0, 2.1, 5.0, 6.0]])


def curve(medians=MEDIANS, spread=0.1, nodes=NODES, contexts=CONTEXTS):
    return CallTimeCurve(nodes, contexts, medians, medians - spread, medians + spread)


def test_measured_points_are_given_back_as_they_are():
    for row, context in enumerate(CONTEXTS):
        assert [curve().seconds(nodes, context) for nodes in NODES] == MEDIANS[row].tolist()
        assert curve().at(context).tolist() == MEDIANS[row].tolist()


def test_straight_lines_lie_in_between():
    assert curve().seconds(5, 10) == pytest.approx((1.05 + 4.0) / 2)
    assert curve().seconds(2, 15) == pytest.approx(1.05 + 0.25 * (2.1 - 1.05))
    assert curve().seconds(12, 20) == pytest.approx((4.0 + 2.0 + 5.0 + 6.0) / 4)


@given(st.floats(1.0, 16.0), st.floats(0.0, 100.0))
def test_no_value_leaves_the_range_of_what_was_measured(nodes, context):
    assert 1.0 <= curve().seconds(nodes, context) <= 6.0


def test_contexts_beyond_those_measured_take_the_nearest():
    assert curve().seconds(2, 0) == 1.05
    assert curve().seconds(2, 1e6) == 2.1


@pytest.mark.parametrize("nodes", [0, 0.5, 17])
def test_a_size_that_was_not_timed_is_refused(nodes):
    with pytest.raises(InvalidInput, match=r"expected 1 to 16, the sizes that were timed") as caught:
        curve().seconds(nodes)
    assert caught.value.argument == "node_budgets"


def test_costs_of_trees_are_the_times_at_that_context():
    costs = curve().by_size(10)
    assert (costs.sizes.tolist(), costs.costs.tolist()) == (NODES, MEDIANS[0].tolist())


def test_the_least_growth_by_context_is_taken_over_all_sizes():
    # 1, 1.05, 1 and 4 seconds more in 20 tokens.
    assert curve().least_seconds_per_context_token == pytest.approx(1.0 / 20)
    assert curve(MEDIANS[:1], contexts=[10]).least_seconds_per_context_token == 0.0
    faster = np.array([[2.0] * 4, [1.0] * 4])
    assert curve(faster).least_seconds_per_context_token == 0.0


def test_the_knee_is_where_a_size_first_takes_a_tenth_more():
    assert curve().flat_to(10) == 2
    assert curve().flat_to(10, share=3.0) == 16
    assert curve(np.ones((2, 4))).flat_to() == 16
    # A later size that is fast again does not count: everything up to the knee is flat.
    assert curve(np.array([[1.0, 2.0, 1.0, 1.0]] * 2)).flat_to() == 1


def test_falls_are_told_where_they_exceed_the_spread():
    assert curve().falls == (Fall(10, 8, 16),)
    assert curve(spread=0.999).falls == (Fall(10, 8, 16),)
    assert curve(np.array([[1.0, 1.5, 1.4, 1.6]] * 2)).falls == ()


def test_rounds_become_medians_and_quartiles():
    taken = np.array([[[1.0]], [[5.0]], [[2.0]], [[3.0]], [[100.0]]])
    found = CallTimeCurve.of_rounds([1], [7], taken, batch_size=4)
    assert (found.medians.item(), found.low.item(), found.high.item(), found.batch_size) == (3.0, 2.0, 5.0, 4)


@pytest.mark.parametrize(
    ("nodes", "contexts", "medians"),
    [
        ([2, 1], [5], [[1.0, 1.0]]),
        ([0, 1], [5], [[1.0, 1.0]]),
        ([1, 2], [5, 5], [[1.0, 1.0]] * 2),
        ([1, 2], [-1], [[1.0, 1.0]]),
        ([1, 2], [5], [[1.0]]),
        ([1], [5], [[0.0]]),
        ([1], [5], [[float("nan")]]),
        ([], [5], [[]]),
    ],
)
def test_what_is_no_curve_is_refused(nodes, contexts, medians):
    seconds = np.array(medians)
    with pytest.raises(InvalidInput, match="call times need"):
        CallTimeCurve(nodes, contexts, seconds, seconds, seconds)
