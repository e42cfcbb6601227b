"""Values of all budgets from one order of nodes, against the growths themselves run on the traced laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speclight.advice.growth_values import growth_values, nested_budgets
from speclight.advice.ordered_trees import ordered_trees
from speclight.advice.planted import DRAFTER, PlantedPair, growth_of, random_pair
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.trace.traced import TracedDrafter, TracedTree
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, grown

LARGEST = 14
BUDGETS = (1, 2, 3, 5, 8, LARGEST)
GROWTHS = (
    "best_first",
    "eagle2",
    "eagle2=2,3,2",
    "eagle2=3,2,1",
    "eagle2=5,2,2",
    "threshold=0.05",
    "threshold=0.4",
    "chain",
    "batch",
    "static=0.6,0.2,0.1",
)
SUM_ATOL = 1e-12  # sums of at most 14 products of a few float64 probabilities


def regrown(tree: TracedTree, growth: str, node_budget: int):
    """The tree that the growth itself makes of the laws that the trace holds."""
    children = {node: np.flatnonzero(tree.parents == node) for node in range(len(tree))}
    whole = DraftTree(tree.tokens, tree.parents, tree.drafter_log_probs)
    node_of = {tuple(tree.tokens[whole.path(node)[1:]].tolist()): node for node in range(len(tree))}

    def laws(known, nodes):
        below = [children[node_of[known.token_path(node)]] for node in nodes]
        return [CandidateLaw(tree.tokens[own], tree.drafter_log_probs[own]) for own in below]

    made = grown(growth_of(read_tree(growth, "deterministic"), node_budget), laws).tree
    return np.array([node_of[tuple(made.tokens[made.path(node)[1:]].tolist())] for node in range(len(made))])


def traced_starts(seed: int, *, ties: bool):
    pair = random_pair(3, 4, 0.6, np.random.default_rng(seed))
    if ties:  # laws of eighths: many paths tie, and sums of their logarithms round apart
        coarse = np.maximum(np.rint(8 * pair.drafter), 1.0)
        pair = PlantedPair(pair.target, coarse / coarse.sum(axis=1, keepdims=True), pair.next_state)
    return pair.starts(2, 1, 2, GROWTHS, BUDGETS, np.random.default_rng(seed))


# As many examples as the profile asks for take a quarter of a minute.
@settings(max_examples=max(3, settings().max_examples // 6), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans())
def test_one_order_gives_what_every_growth_makes_at_every_budget(seed, ties):
    starts = traced_starts(seed, ties=ties)
    trees = ordered_trees(starts, DRAFTER)
    for growth in GROWTHS:
        found = growth_values(trees, read_tree(growth, "deterministic"), BUDGETS, LARGEST)
        for row, start in enumerate(starts):
            traced = start.drafters[DRAFTER].tree
            values, followed = np.exp(traced.target_path_log_probs), traced.followed(start.following)
            for column, budget in enumerate(BUDGETS):
                nodes = regrown(traced, growth, budget)
                assert found.sizes[row, column] == len(nodes), (growth, budget)
                assert found.emitted_tokens[row, column] == followed[nodes].sum(), (growth, budget)
                assert found.expected_tokens[row, column] == pytest.approx(
                    values[nodes].sum(), rel=0, abs=SUM_ATOL
                ), (growth, budget)


def test_the_order_in_which_a_trace_lists_siblings_makes_no_difference():
    starts = traced_starts(5, ties=True)
    shuffled = []
    for start in starts:
        drafter = start.drafters[DRAFTER]
        tree = drafter.tree
        # By depth, siblings in any order: parents still stand before their children.
        order = np.lexsort((np.random.default_rng(1).random(len(tree)), tree.depths))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        parents = np.where(tree.parents < 0, -1, place[tree.parents])[order]
        fields = {
            name: getattr(tree, name)[order]
            for name in ("tokens", "depths", "ranks", "drafter_log_probs", "target_log_probs")
        }
        moved = TracedDrafter(TracedTree(parents=parents, **fields), drafter.costs, drafter.coupling)
        shuffled.append(replace(start, drafters={DRAFTER: moved}))
    first, second = (ordered_trees(each, DRAFTER) for each in (starts, shuffled))
    np.testing.assert_array_equal(first.path_log_probs, second.path_log_probs)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    np.testing.assert_array_equal(first.parents, second.parents)


def test_a_static_tree_is_scored_where_it_is_part_of_the_traced_one():
    # Where the third rank is the likeliest, six nodes are spent otherwise than within seven.
    growth = read_tree("static=0.3,0.2,0.45", "deterministic")
    assert nested_budgets(growth, range(1, 8), 7) == (1, 2, 3, 4, 5, 7)
    trees = ordered_trees(traced_starts(0, ties=False), DRAFTER)
    with pytest.raises(InvalidInput, match=r"the tree of 6 nodes .* trace it at that budget"):
        growth_values(trees, growth, (6,), 7)


def test_samples_have_no_order_of_nodes():
    trees = ordered_trees(traced_starts(0, ties=False), DRAFTER)
    with pytest.raises(InvalidInput, match="expected a deterministic one"):
        growth_values(trees, read_tree("chain", "with_replacement"), (2,), 4)
