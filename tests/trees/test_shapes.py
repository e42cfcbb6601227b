"""Fixed shapes, and the deterministic trees grown in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.growing_tree import grown as grow_to_end
from speclight.trees.shapes import TopRankGrowth, TreeShape, batch, by_choices, by_level, chain

NONE = np.array([], dtype=np.int64)


def law(*probabilities):
    with np.errstate(divide="ignore"):
        return CandidateLaw(np.arange(len(probabilities)), np.log(np.array(probabilities)))


def grown(shape, law_of, never_drafted=()):
    def laws(known, nodes):
        return [law_of([9, *known.token_path(node)]) for node in nodes]

    draft = grow_to_end(TopRankGrowth(9, shape, never_drafted), laws)
    return draft.tree, draft.cost.calls


def test_named_shapes_have_the_parents_and_ranks_they_promise():
    assert chain(3).parents.tolist() == [-1, 0, 1, 2]
    assert chain(0).parents.tolist() == [-1]
    assert batch(3).parents.tolist() == [-1, 0, 0, 0]
    assert batch(3).ranks.tolist() == [0, 0, 1, 2]
    assert by_level([2, 2]).parents.tolist() == [-1, 0, 0, 1, 1, 2, 2]
    assert by_level([2, 1]).ranks.tolist() == [0, 0, 1, 0, 0]


def test_choices_are_ordered_by_depth_then_rank():
    shape = by_choices([(1,), (0, 2), (0,), (0, 0), (0, 0, 1)])
    assert shape.parents.tolist() == [-1, 0, 0, 1, 1, 3]
    assert shape.ranks.tolist() == [0, 0, 1, 0, 2, 1]
    assert by_choices([]).parents.tolist() == [-1]


def test_choices_accept_the_lists_of_medusas_files():
    # The first choices of Medusa's published tree for 7B models, mc_sim_7b_63.
    choices = [[0], [0, 0], [1], [0, 1], [2], [0, 0, 0], [1, 0], [0, 2], [3], [0, 3], [4], [0, 4], [2, 0]]
    assert len(by_choices(choices)) == len(choices) + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: by_choices([(0, 1)]), "needs its parent"),
        (lambda: by_choices([(0,), [0]]), "given twice"),
        (lambda: by_choices([()]), "empty"),
        (lambda: chain(-1), ">= 0"),
        (lambda: by_level([2, -1]), ">= 0"),
        (lambda: batch(2).within(0), "node_budget must be >= 1"),
        (lambda: TreeShape(np.array([-1, 0, 0]), np.array([0, 1, 1])), "distinct"),
        (lambda: TreeShape(np.array([-1, 2, 0]), np.array([0, 0, 0])), "before their children"),
    ],
)
def test_malformed_shapes_are_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


def test_a_shape_is_cut_to_the_budget():
    assert by_level([2, 2]).within(4).parents.tolist() == [-1, 0, 0, 1]
    assert len(chain(2).within(10)) == 3


def test_the_top_ranks_are_taken_level_by_level():
    tree, levels = grown(
        by_level([2, 1]), lambda path: law(0.2, 0.5, 0.3) if len(path) == 1 else law(0.6, 0.4)
    )
    assert tree.tokens.tolist() == [9, 1, 2, 0, 0]
    assert tree.parents.tolist() == [-1, 0, 0, 1, 2]
    np.testing.assert_array_equal(tree.log_probs, np.log([1.0, 0.5, 0.3, 0.6, 0.6]))
    assert (levels, tree.kind) == (2, "deterministic")


def test_places_without_a_candidate_stay_empty():
    shape = by_choices([(0,), (1,), (2,), (2, 0), (0, 1)])
    tree, _ = grown(shape, lambda path: law(0.9, 0.0, 0.1))
    assert tree.tokens.tolist() == [9, 0, 2, 2]
    assert tree.parents.tolist() == [-1, 0, 0, 1]


def test_end_of_text_is_passed_over():
    tree, _ = grown(batch(2), lambda path: law(0.5, 0.3, 0.2), never_drafted={0})
    assert tree.tokens.tolist() == [9, 1, 2]


def test_no_law_is_asked_for_a_shape_of_the_root_alone():
    tree, levels = grown(chain(0), lambda path: pytest.fail("asked"))
    assert (len(tree), levels) == (1, 0)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.integers(1, 30),
    st.sets(st.integers(0, 29), max_size=4),
)
def test_the_likeliest_are_a_stable_sort_without_the_excluded(weights, count, excluded):
    candidates = CandidateLaw(np.arange(len(weights)), -np.array(weights, dtype=np.float64))
    allowed = [token for token in range(len(weights)) if token not in excluded]
    expected = sorted(allowed, key=lambda token: (weights[token], token))[:count]
    found = candidates.likeliest(count, np.array(sorted(excluded), dtype=np.int64))
    assert found.tokens.tolist() == expected
