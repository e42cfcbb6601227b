"""Noise made of uniforms: coins and draws at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.trees.draft_tree import DraftTree, SampledChildren, root_only
from speclight.verification.noise import NoiseShape, UniformNoise, noise_shape, uniform_noise

LARGEST_UNIFORM = 1.0 - 2.0**-53


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), st.floats(0.0, LARGEST_UNIFORM))
def test_a_draw_never_returns_an_impossible_token(weights, uniform):
    law = np.array([*weights, 1.0, 0.0])
    law /= law.sum()
    token = UniformNoise(np.zeros(1), np.array([uniform])).sample(0, law)
    assert law[token] > 0.0


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.49, 1), (0.5, 3), (LARGEST_UNIFORM, 3)])
def test_a_draw_inverts_the_cumulated_law(uniform, token):
    law = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    assert UniformNoise(np.zeros(1), np.array([uniform])).sample(0, law) == token


@pytest.mark.parametrize("coin", [0.0, 0.3, LARGEST_UNIFORM])
def test_certain_and_impossible_coins(coin):
    noise = UniformNoise(np.array([coin]), np.zeros(1))
    assert noise.accepts(0, 1.0)
    assert not noise.accepts(0, 0.0)


def test_noise_is_reproducible_and_its_streams_differ():
    first, second = (
        uniform_noise(np.random.Generator(np.random.Philox(7)), NoiseShape(5, 5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.coins, second.coins)
    np.testing.assert_array_equal(first.draws, second.draws)
    assert not np.any(first.coins == first.draws)


def test_a_token_drawn_twice_has_two_coins():
    law = np.array([0.5, 0.5])
    samples = (SampledChildren(law, np.array([1, 1, 2])), SampledChildren(law, np.array([3])), None, None)
    tree = DraftTree(
        np.array([0, 1, 0, 1]), np.array([-1, 0, 0, 1]), np.zeros(4), "with_replacement", samples
    )
    assert noise_shape(tree) == NoiseShape(coins=4, draws=4)


def test_noise_of_a_deterministic_tree():
    tree = DraftTree(np.array([0, 1, 0, 1]), np.array([-1, 0, 0, 1]), np.zeros(4))
    assert noise_shape(tree) == NoiseShape(coins=3, draws=4)
    assert noise_shape(root_only(7)) == NoiseShape(coins=0, draws=1)
