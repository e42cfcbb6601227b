"""A bar that the best of many values reach."""

import numpy as np
import pytest

from speclight.trees.best_values import bar_of_best


@pytest.mark.parametrize(
    ("length", "count"), [(1, 1), (5, 2), (64, 64), (130, 2), (130, 17), (1000, 1), (1000, 60), (49152, 60)]
)
@pytest.mark.parametrize("spread", ["apart", "tied", "impossible"])
def test_the_best_reach_it_and_of_many_few_others(length, count, spread):
    values = np.random.default_rng(length).normal(size=length)
    if spread == "tied":
        values = np.round(values, 1)
    if spread == "impossible":
        values[np.arange(length) % 3 > 0] = -np.inf
    bar = bar_of_best(values, count)
    assert bar <= np.sort(values)[-count]
    assert np.count_nonzero(values >= bar) >= count
    if spread == "apart" and length > 20_000:
        assert np.count_nonzero(values >= bar) <= 2 * count + 10
