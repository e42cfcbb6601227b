from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory import runtime
from speclight.theory.iid import leading_terms as limits
from speclight.theory.iid import upper as upper_bounds


@given(st.integers(1, 10**6))
def test_trivial_floor_is_that_of_the_trivial_bound(budget):
    floor = runtime.trivial_runtime_floor(budget)
    assert floor.delta == runtime.runtime_floor(upper_bounds.trivial(budget)).delta == 1.0 / budget
    assert floor.speed_up_ceiling == pytest.approx(budget)


def test_floor_names_all_assumptions():
    bound = upper_bounds.theorem_1(0.279, 0.777, 60)
    floor = runtime.runtime_floor(bound)
    assert floor.delta == pytest.approx(1 / 31.7236, rel=1e-5)
    assert set(bound.assumptions) < set(floor.assumptions)
    assert runtime.CONSTANT_CALL_TIME in floor.assumptions


def test_leading_terms_are_no_floor():
    with pytest.raises(InvalidInput, match="asymptotic"):
        runtime.runtime_floor(limits.limit(0.3, 60))


def test_wald_against_exact_counts():
    """Calls of 1 or 3 tokens with probability 1/2 each (mean 2): E[calls] to reach N by recursion."""
    expected = [0.0]
    for tokens in range(1, 40):
        expected.append(1.0 + 0.5 * expected[tokens - 1] + 0.5 * expected[max(tokens - 3, 0)])
        floor = runtime.expected_calls_floor(tokens, 2.0)
        assert floor <= expected[tokens] <= floor + 1.0  # the overshoot is at most 2 tokens
    with pytest.raises(InvalidInput):
        runtime.expected_calls_floor(10, 0.5)
