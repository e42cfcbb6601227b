"""The threshold tree: every node likely enough and no other, and the best tree when nodes cost time."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.sources import tabular_source
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.threshold import ThresholdGrowth

SOURCE = tabular_source(4, 3, np.random.default_rng(7))


def grown(least, budget=200, state=0):
    growth = ThresholdGrowth(0, budget, least)
    states = {0: state}
    while nodes := growth.unexpanded():
        for node in nodes:
            if node:
                parent = states[growth.known.parents[node]]
                states[node] = int(SOURCE.next_type[parent, growth.known.tokens[node]].argmax())
            growth.expand(node, CandidateLaw(np.arange(3), np.log(SOURCE.laws[states[node], 0])))
    return growth


@pytest.mark.parametrize("state", range(4))
@pytest.mark.parametrize("least", [0.9, 0.3, 0.05, 0.013])
def test_it_holds_the_likely_nodes_of_the_search(least, state):
    tree = grown(least, state=state).tree()
    every = best_tree(SOURCE, state, 200).path_probs
    expected = every[every > least]
    np.testing.assert_allclose(np.exp(tree.path_log_probs), expected, rtol=1e-12)


def test_no_size_is_better_when_nodes_cost_time():
    """Tokens less rho tau per node: the tree at the threshold rho tau has the most, among all best trees."""
    price = 0.07
    probs = best_tree(SOURCE, 2, 200).path_probs
    values = np.cumsum(probs - price)
    tree = grown(price, state=2).tree()
    assert np.exp(tree.path_log_probs).sum() - price * len(tree) == pytest.approx(values.max())


def test_the_budget_caps_it_and_unlikely_nodes_are_not_looked_at():
    assert len(grown(0.001, budget=7).tree()) == 7
    hardly = grown(0.999)
    assert len(hardly.tree()) == 1
    assert len(hardly.known.tokens) == 4  # the root and its children: nothing below was looked at
    with pytest.raises(InvalidInput, match="least_probability"):
        ThresholdGrowth(0, 4, 1.0)
