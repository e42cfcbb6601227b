"""The static optimum against every tree of ranks of the same size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.trees.static_optimum import static_optimum

SUM_ATOL = 1e-12  # sums of at most 60 products of float64 numbers below 1


def path_value(acceptance, path):
    return float(np.prod([acceptance[rank] for rank in path]))


def best_of_all_trees(acceptance, budget):
    """Largest value over all trees whose nodes have their parents and their smaller-ranked siblings."""
    best = 0.0
    level = {frozenset({()})}
    for _ in range(budget - 1):
        grown = set()
        for tree in level:
            for path in tree:
                for rank in range(len(acceptance)):
                    child = (*path, rank)
                    if child not in tree and all((*path, lower) in tree for lower in range(rank)):
                        grown.add(tree | {child})
        level = grown
    for tree in level:
        best = max(best, sum(path_value(acceptance, path) for path in tree))
    return best


rates = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=3).map(
    lambda weights: [weight / max(1.0, sum(weights)) for weight in weights]
)


@given(acceptance=rates, budget=st.integers(1, 6))
def test_no_tree_of_ranks_is_better(acceptance, budget):
    tree = static_optimum(acceptance, budget)
    assert len(tree.paths) == budget - 1
    assert abs(tree.expected_tokens - best_of_all_trees(acceptance, budget)) < SUM_ATOL


@settings(max_examples=30, deadline=None)
@given(acceptance=rates.map(lambda vector: sorted(vector, reverse=True)), budget=st.integers(1, 40))
def test_falling_rates_are_solved_by_the_largest_products(acceptance, budget):
    frontier, taken = [1.0], []
    for _ in range(budget):
        frontier.sort()
        taken.append(frontier.pop())
        frontier += [taken[-1] * rate for rate in acceptance]
    assert abs(static_optimum(acceptance, budget).expected_tokens - sum(taken)) < SUM_ATOL


@given(acceptance=rates, budget=st.integers(1, 30))
def test_paths_are_a_tree_of_that_value(acceptance, budget):
    tree = static_optimum(acceptance, budget)
    seen = {()}
    for path in tree.paths:
        assert path[:-1] in seen
        assert path[-1] == 0 or (*path[:-1], path[-1] - 1) in seen
        assert path not in seen
        seen.add(path)
    assert abs(sum(path_value(acceptance, path) for path in seen) - tree.expected_tokens) < SUM_ATOL


def test_rising_rates_need_more_than_greed():
    """Greed takes rank 0 twice (0.1 + 0.01); the best tree goes through it to the good second candidate."""
    assert static_optimum([0.1, 0.9], 3).paths == ((0,), (1,))


def test_without_candidates_there_is_only_the_root():
    assert static_optimum([], 5).paths == ()


@pytest.mark.parametrize("acceptance", [[-0.1], [0.7, 0.7], [float("nan")], [[0.1]]])
def test_what_is_no_acceptance_vector(acceptance):
    with pytest.raises(InvalidInput, match="acceptance vector"):
        static_optimum(acceptance, 3)


def test_a_budget_must_hold_the_root():
    with pytest.raises(InvalidInput, match="node_budget"):
        static_optimum([0.5], 0)
