"""The best tree of P nodes: against closed forms, brute force, and its own promises about ties."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.truth.optimum import best_tree, grow_best_tree, ranked_laws
from speclight.theory.truth.sources import (
    TokenSource,
    dirichlet_source,
    iid_source,
    sticky_source,
    tabular_source,
    uniform_source,
)

# Sums of at most 31 products of float64 probabilities.
ROUNDING_ATOL = 1e-12


@pytest.mark.parametrize("vocabulary_size", [2, 4, 8])
@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_complete_levels_of_a_uniform_law_give_one_token_each(vocabulary_size, levels):
    nodes = (vocabulary_size**levels - 1) // (vocabulary_size - 1)
    best = best_tree(uniform_source(vocabulary_size), 0, nodes)
    # Exact: sums of powers of two in float64.
    assert best.tokens_per_call[-1] == levels


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_no_prefix_closed_tree_is_better(seed, node_budget):
    """Brute force over every prefix-closed set of nodes of depth < 4 on a random tabular model."""
    source = tabular_source(3, 3, np.random.default_rng(seed))
    nodes = {(): (1.0, 0)}
    for depth in range(3):
        for path, (prob, state) in list(nodes.items()):
            if len(path) == depth:
                for token in range(3):
                    following = int(source.next_type[state, token].argmax())
                    nodes[(*path, token)] = (prob * source.laws[state, 0, token], following)
    others = [path for path in nodes if path]
    best = 0.0
    for chosen in combinations(others, node_budget - 1):
        if all(path[:-1] in chosen or len(path) == 1 for path in chosen):
            best = max(best, 1.0 + sum(nodes[path][0] for path in chosen))
    assert best_tree(source, 0, node_budget).tokens_per_call[-1] == pytest.approx(best, abs=ROUNDING_ATOL)


def test_values_of_all_smaller_budgets_are_prefix_sums():
    source = tabular_source(5, 4, np.random.default_rng(1))
    whole = best_tree(source, 2, 64).tokens_per_call
    for node_budget in (1, 2, 17, 63):
        smaller = best_tree(source, 2, node_budget)
        assert smaller.tokens_per_call[-1] == whole[node_budget - 1]
        assert (np.diff(smaller.path_probs) <= 0).all()


def test_path_probabilities_are_those_of_the_draft_tree():
    source = tabular_source(5, 4, np.random.default_rng(1))
    best = best_tree(source, 0, 64)
    np.testing.assert_allclose(np.exp(best.tree.path_log_probs), best.path_probs, rtol=0, atol=ROUNDING_ATOL)


def test_ties_go_to_smaller_depth_then_earlier_parent_then_lower_token():
    best = best_tree(uniform_source(2), 0, 7)
    assert best.tree.parents.tolist() == [-1, 0, 0, 1, 1, 2, 2]
    assert best.tree.tokens.tolist() == [0, 0, 1, 0, 1, 0, 1]
    # Law 1/2, 1/4, 1/4: token 0 twice (depth 2) ties with tokens 1 and 2 (depth 1), which come first.
    best = best_tree(iid_source("dyadic", np.array([[0.5, 0.25, 0.25]])), 0, 5)
    assert best.tree.depths.tolist() == [0, 1, 1, 1, 2]
    assert best.tree.tokens.tolist() == [0, 0, 1, 2, 0]
    # The likelier token is taken first even if its id is higher.
    assert best_tree(iid_source("reversed", np.array([[0.3, 0.7]])), 0, 2).tree.tokens.tolist() == [0, 1]


def test_certain_end_of_text_leaves_the_root_alone():
    source = TokenSource("over", np.array([[[1.0, 0.0]]]), np.ones((1, 2, 1)), np.ones(1), end_of_text=0)
    best = best_tree(source, 0, 5)
    assert len(best.tree) == 1
    np.testing.assert_array_equal(best.tokens_per_call, np.ones(5))


def test_end_of_text_is_never_a_node():
    source = tabular_source(4, 3, np.random.default_rng(3), end_of_text=1)
    assert 1 not in best_tree(source, 0, 40).tree.tokens


def test_deterministic_source_fills_a_chain():
    best = best_tree(iid_source("certain", np.array([[1.0, 0.0]])), 0, 9)
    assert best.tree.depths.tolist() == list(range(9))
    assert best.tokens_per_call[-1] == 9.0


def test_random_laws_need_noise():
    rng = np.random.default_rng(0)
    for source in (dirichlet_source(0.3, 4, 16, rng), sticky_source(0.9, 0.1, 4)):
        with pytest.raises(InvalidInput, match="at random"):
            best_tree(source, 0, 4)
        assert len(grow_best_tree(source, ranked_laws(source), rng.random((4, 2))).tree) == 4


def test_wrong_budget_or_type_is_refused():
    with pytest.raises(InvalidInput, match="node_budget"):
        best_tree(uniform_source(2), 0, 0)
    with pytest.raises(InvalidInput, match="start_type"):
        best_tree(uniform_source(2), 1, 3)
