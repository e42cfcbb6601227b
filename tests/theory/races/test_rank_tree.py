"""The optimal rank tree: against every tree there is, the plain heap, and its own promises."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.races.rank_tree import optimal_rank_tree

# Sums of at most a thousand products of float64 probabilities.
ROUNDING_ATOL = 1e-12

rank_laws = st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(any)


def law_of(weights, spare=0):
    return np.array(weights, dtype=np.float64) / (sum(weights) + spare)


def best_value_by_brute_force(rates, drafted, in_order):
    """Largest expected tokens over all trees of `drafted` nodes; in_order: sibling m needs sibling m - 1."""

    def grow(tree, frontier_free):
        if len(tree) - 1 == drafted:
            return sum(path for path, _ in tree.values())
        best = 0.0
        for node, (path, _) in tree.items():
            for rank, rate in enumerate(rates):
                child = (*node, rank)
                if child in tree or (in_order and rank and (*node, rank - 1) not in tree):
                    continue
                # Each set of nodes once: children join in increasing order of (length, ranks).
                if (len(child), child) <= frontier_free:
                    continue
                best = max(best, grow({**tree, child: (path * rate, rank)}, (len(child), child)))
        return best

    return grow({(): (1.0, 0)}, (0, ()))


def plain_heap_tree(rates, drafted):
    """The textbook growth on unsorted rates: every open child of every node is in one heap."""
    paths, total = [(-1.0, ())], 0.0
    heap = paths
    nodes = 0
    while heap and nodes <= drafted:
        minus_path, node = heapq.heappop(heap)
        total -= minus_path
        nodes += 1
        for rank, rate in enumerate(rates):
            heapq.heappush(heap, (minus_path * rate, (*node, rank)))
    return total


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=3).filter(any), st.integers(0, 4), st.integers(0, 3))
def test_no_tree_is_better(weights, drafted, spare):
    rates = law_of(weights, spare)
    tree = optimal_rank_tree(rates, drafted)
    best = best_value_by_brute_force(rates, drafted, in_order=False)
    assert tree.expected_tokens == pytest.approx(best, abs=ROUNDING_ATOL)
    decreasing = np.sort(rates)[::-1]
    in_order = optimal_rank_tree(decreasing, drafted, needs_lower_ranks=True)
    best = best_value_by_brute_force(decreasing, drafted, in_order=True)
    assert in_order.expected_tokens == pytest.approx(best, abs=ROUNDING_ATOL)


@given(rank_laws, st.integers(0, 300))
def test_equals_the_plain_heap(weights, drafted):
    rates = law_of(weights)
    tree = optimal_rank_tree(rates, drafted)
    assert tree.expected_tokens == pytest.approx(plain_heap_tree(rates, drafted), abs=300 * ROUNDING_ATOL)


@given(rank_laws, st.integers(0, 300))
def test_is_a_tree_with_its_most_probable_nodes_first(weights, drafted):
    rates = law_of(weights)
    tree = optimal_rank_tree(rates, drafted)
    nodes = np.arange(1, len(tree))
    assert len(tree) == drafted + 1
    assert tree.parents[0] == -1
    assert ((tree.parents[1:] >= 0) & (tree.parents[1:] < nodes)).all()
    assert (np.diff(tree.path_probabilities) <= 0.0).all()
    edges = np.stack([tree.parents[1:], tree.ranks[1:]])
    assert np.unique(edges, axis=1).shape[1] == drafted
    expected = tree.path_probabilities[tree.parents[1:]] * rates[tree.ranks[1:] - 1]
    np.testing.assert_array_equal(tree.path_probabilities[1:], expected)  # same products in the same order


@given(rank_laws, st.integers(1, 60))
def test_rules_that_try_siblings_in_order_get_them_in_order(weights, drafted):
    rates = np.sort(law_of(weights))[::-1]
    tree = optimal_rank_tree(rates, drafted, needs_lower_ranks=True)
    drafted_edges = set(zip(tree.parents.tolist(), tree.ranks.tolist(), strict=True))
    for parent, rank in drafted_edges:
        assert rank <= 1 or (parent, rank - 1) in drafted_edges


def test_ranks_may_be_likelier_than_lower_ranks_for_races_only():
    rates = np.array([0.1, 0.7, 0.2])
    np.testing.assert_array_equal(optimal_rank_tree(rates, 2).ranks, [0, 2, 2])
    with pytest.raises(InvalidInput, match="rank 2 is likelier"):
        optimal_rank_tree(rates, 2, needs_lower_ranks=True)


def test_ties_go_to_the_lower_rank_then_to_the_older_parent():
    tree = optimal_rank_tree(np.array([0.5, 0.5]), 6)
    np.testing.assert_array_equal(tree.parents, [-1, 0, 0, 1, 2, 1, 2])
    np.testing.assert_array_equal(tree.ranks, [0, 1, 2, 1, 1, 2, 2])


@pytest.mark.parametrize(("rate", "depth"), [(1.0, 3000), (0.5, 1074)])
def test_a_chain_ends_only_where_its_probability_underflows(rate, depth):
    tree = optimal_rank_tree(np.array([rate, 0.0]), 3000)
    assert len(tree) == depth + 1  # 2^-1074 is the smallest positive double
    np.testing.assert_array_equal(tree.parents, np.arange(-1, depth))


def test_no_draft_and_no_chance():
    assert optimal_rank_tree(np.array([0.9, 0.1]), 0).expected_tokens == 1.0
    assert len(optimal_rank_tree(np.zeros(3), 5)) == 1


@pytest.mark.parametrize("rates", [[], [0.5, -0.1], [0.7, 0.7], [[0.5, 0.5]], [np.nan]])
def test_malformed_rank_probabilities_are_refused(rates):
    with pytest.raises(InvalidInput, match="rank probabilities"):
        optimal_rank_tree(np.array(rates), 2)


def test_negative_drafts_are_refused():
    with pytest.raises(InvalidInput, match="drafted_tokens"):
        optimal_rank_tree(np.array([1.0]), -1)
