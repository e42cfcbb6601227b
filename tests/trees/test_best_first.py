"""Best-first growth against brute force over all prefix-closed trees (Lemma 1), and its ties."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw

DEPTH = 3  # deep enough that every tree of up to 5 nodes fits into the brute-forced universe below
SUM_ATOL = 1e-12  # sums of at most 5 products of 3 float64 probabilities


def random_laws(seed: int, vocabulary: int) -> dict[tuple[int, ...], np.ndarray]:
    """A law after every path of up to DEPTH tokens."""
    rng = np.random.default_rng(seed)
    paths = [
        path for depth in range(DEPTH + 1) for path in itertools.product(range(vocabulary), repeat=depth)
    ]
    return {path: rng.dirichlet(np.full(vocabulary, 0.7)) for path in paths}


def grow(laws, budget, never_drafted=()):
    growth = BestFirstGrowth(0, budget, never_drafted)
    while nodes := growth.unexpanded():
        for node in nodes:
            path = tuple(growth.known.tokens[step] for step in growth.known.path(node)[1:])
            law = laws.get(path)
            if law is None:
                growth.expand(node, CandidateLaw(np.array([], dtype=np.int64), np.array([])))
            else:
                with np.errstate(divide="ignore"):
                    growth.expand(node, CandidateLaw(np.arange(len(law)), np.log(law)))
    return growth


def brute_force_best(laws, vocabulary, budget):
    """Largest sum of path probabilities over all prefix-closed trees of `budget` nodes."""
    nodes = [
        path for depth in range(1, DEPTH + 1) for path in itertools.product(range(vocabulary), repeat=depth)
    ]
    weight = {(): 1.0}
    for path in nodes:
        weight[path] = weight[path[:-1]] * laws[path[:-1]][path[-1]]
    best = 0.0
    for chosen in itertools.combinations(nodes, budget - 1):
        tree = {(), *chosen}
        if all(path[:-1] in tree for path in chosen):
            best = max(best, sum(weight[path] for path in tree))
    return best


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), vocabulary=st.integers(2, 3))
def test_growth_is_the_best_prefix_closed_tree(budget, seed, vocabulary):
    laws = random_laws(seed, vocabulary)
    tree = grow(laws, budget).tree()
    assert len(tree) == budget
    value = np.exp(tree.path_log_probs).sum()
    assert abs(value - brute_force_best(laws, vocabulary, budget)) < SUM_ATOL


@given(seed=st.integers(0, 2**32 - 1), budget=st.integers(1, 30))
def test_smaller_budgets_are_prefixes_of_larger_ones(seed, budget):
    laws = random_laws(seed, 3)
    small, large = grow(laws, budget).tree(), grow(laws, 30).tree()
    np.testing.assert_array_equal(small.tokens, large.tokens[:budget])
    np.testing.assert_array_equal(small.parents, large.parents[:budget])


def test_ties_go_to_smaller_depth_then_parent_then_token():
    half = np.array([0.5, 0.5])
    laws = {path: half for depth in range(3) for path in itertools.product(range(2), repeat=depth)}
    tree = grow(laws, 7).tree()
    assert tree.tokens.tolist() == [0, 0, 1, 0, 1, 0, 1]
    assert tree.parents.tolist() == [-1, 0, 0, 1, 1, 2, 2]
    # The child of a certain child is as probable as the child itself: the shallower one stands first.
    certain = {(): np.array([0.5, 0.5]), (0,): np.array([1.0, 0.0]), (1,): half}
    assert grow(certain, 4).tree().tokens.tolist() == [0, 0, 1, 0]


def test_never_drafted_and_impossible_tokens_are_no_nodes():
    laws = {(): np.array([0.6, 0.4, 0.0]), (1,): np.array([0.0, 0.0, 1.0])}
    tree = grow(laws, 10, never_drafted=[0]).tree()
    assert tree.tokens.tolist() == [0, 1, 2]


def test_growth_asks_level_by_level():
    growth, rounds = BestFirstGrowth(0, 4), []
    while nodes := growth.unexpanded():
        rounds.append(len(nodes))
        for node in nodes:
            growth.expand(node, CandidateLaw(np.arange(2), np.log([0.9, 0.1])))
    assert growth.tree().depths.max() == 3
    assert rounds == [1, 2, 1]  # the fourth node, the last of the tree, needs no look


def test_a_budget_must_hold_the_root():
    with pytest.raises(InvalidInput, match="node_budget"):
        BestFirstGrowth(0, 0)
