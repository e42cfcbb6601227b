"""The enumerator finds every outcome with its exact probability."""

import numpy as np
import pytest

from speclight.verification.enumeration import enumerate_outcomes


def test_two_coins_and_a_draw():
    law = np.array([0.5, 0.0, 0.5])

    def run(noise):
        heads = noise.accepts(0, 0.25), noise.accepts(1, 1.0)
        return (*heads, noise.sample(0, law) if heads[0] else None)

    outcomes = {outcome.result: outcome.probability for outcome in enumerate_outcomes(run)}
    assert outcomes == {
        (False, True, None): 0.75,
        (True, True, 0): 0.125,
        (True, True, 2): 0.125,
    }


def test_a_run_without_noise_has_one_outcome():
    outcomes = list(enumerate_outcomes(lambda noise: "same"))
    assert [(outcome.result, outcome.probability) for outcome in outcomes] == [("same", 1.0)]


@pytest.mark.parametrize("sides", [2, 5])
def test_probabilities_sum_to_one(sides):
    law = np.arange(1, sides + 1) / np.arange(1, sides + 1).sum()
    outcomes = list(enumerate_outcomes(lambda noise: [noise.sample(step, law) for step in range(3)]))
    assert len(outcomes) == sides**3
    assert abs(sum(outcome.probability for outcome in outcomes) - 1.0) < 1e-12  # 125 products in float64


def test_what_only_rounding_makes_possible_is_not_followed():
    almost_one = 1.0 - 2.0**-53
    outcomes = list(enumerate_outcomes(lambda noise: noise.accepts(0, almost_one)))
    assert [(outcome.result, outcome.probability) for outcome in outcomes] == [(True, almost_one)]
    assert len(list(enumerate_outcomes(lambda noise: noise.accepts(0, 1.0 - 1e-14)))) == 2
