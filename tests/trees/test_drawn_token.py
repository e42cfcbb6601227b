"""Tokens drawn by the inverse of the cumulated law, block by block."""

import numpy as np
import pytest

from speclight.trees.drawn_token import BLOCK, drawn_token

LARGEST_UNIFORM = 1.0 - 2.0**-53


@pytest.mark.parametrize("size", [1, 7, BLOCK, BLOCK + 1, 5 * BLOCK + 31])
def test_every_token_owns_its_interval(size):
    rng = np.random.default_rng(size)
    law = rng.exponential(size=size) * (rng.random(size) < 0.7)
    law[-1] += 0.1
    law /= law.sum()
    bounds = np.concatenate([[0.0], np.cumsum(law)])
    for token in np.flatnonzero(law):
        inside = bounds[token] + law[token] * np.array([0.01, 0.5, 0.99])
        assert [drawn_token(law, float(point)) for point in inside] == [token] * 3


@pytest.mark.parametrize("weight", [1.0, 1e-30, 1e-300])
@pytest.mark.parametrize("place", [0, 3, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("uniform", [0.0, 0.3, LARGEST_UNIFORM])
def test_the_only_possible_token_is_drawn(place, uniform, weight):
    law = np.zeros(3 * BLOCK + 9)
    law[place] = weight
    assert drawn_token(law, uniform) == place


@pytest.mark.parametrize("uniform", [0.0, 0.25, 0.5, 0.75, LARGEST_UNIFORM])
def test_no_impossible_token_is_drawn_where_sums_are_rounded(uniform):
    rng = np.random.default_rng(0)
    for _ in range(200):
        law = rng.exponential(size=4 * BLOCK) ** 8 * (rng.random(4 * BLOCK) < 0.1)
        law[BLOCK * rng.integers(4) :][:BLOCK] = 0.0
        edges = np.cumsum(law) / law.sum()
        for point in (uniform, *rng.choice(edges, 5)):
            assert law[drawn_token(law, min(float(point), LARGEST_UNIFORM))] > 0.0
