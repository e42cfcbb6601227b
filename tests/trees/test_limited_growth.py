"""EAGLE-2's limits against a plain transcription of its procedure, and against growth without limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.limited_growth import GrowthLimits, LimitedGrowth

VOCABULARY = 6
SUM_ATOL = 1e-12  # sums of at most 40 products of a few float64 probabilities


def law_after(seed: int, path: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng([seed, len(path), *path]).dirichlet(np.full(VOCABULARY, 0.5))


def grow(growth, seed):
    rounds = []
    while nodes := growth.unexpanded():
        rounds.append(len(nodes))
        for node in nodes:
            path = tuple(growth.known.tokens[step] for step in growth.known.path(node)[1:])
            growth.expand(node, CandidateLaw(np.arange(VOCABULARY), np.log(law_after(seed, path))))
    return growth.tree(), rounds


def value(tree) -> float:
    return float(np.exp(tree.path_log_probs).sum())


def published_procedure(seed: int, budget: int, limits: GrowthLimits) -> float:
    """Expand the best nodes of every level without looking at the budget, rank all nodes seen, keep P."""
    level, seen = {(): 1.0}, {(): 1.0}
    for _ in range(limits.max_depth):
        children: dict[tuple[int, ...], float] = {}
        for path in sorted(level, key=lambda path: -level[path])[: limits.expanded_per_level]:
            law = law_after(seed, path)
            for token in np.argsort(-law)[: limits.children_per_node]:
                children[(*path, int(token))] = level[path] * law[token]
        seen |= children
        level = children
    return sum(sorted(seen.values(), reverse=True)[:budget])


LIMITS = st.builds(
    GrowthLimits,
    max_depth=st.integers(1, 4),
    children_per_node=st.integers(1, 4),
    expanded_per_level=st.integers(1, 4),
)


@given(seed=st.integers(0, 2**32 - 1), budget=st.integers(1, 20), limits=LIMITS)
def test_it_is_the_published_tree_for_less_work(seed, budget, limits):
    tree, rounds = grow(LimitedGrowth(0, budget, limits), seed)
    assert abs(value(tree) - published_procedure(seed, budget, limits)) < SUM_ATOL
    assert len(rounds) <= limits.max_depth
    assert all(nodes <= min(limits.expanded_per_level, max(budget - 1, 1)) for nodes in rounds)
    assert tree.depths.max() <= limits.max_depth
    assert np.bincount(tree.parents[1:], minlength=1).max() <= limits.children_per_node


@given(seed=st.integers(0, 2**32 - 1), budget=st.integers(1, 20), limits=LIMITS)
def test_limits_never_help_under_the_drafters_own_law(seed, budget, limits):
    limited, _ = grow(LimitedGrowth(0, budget, limits), seed)
    free, _ = grow(BestFirstGrowth(0, budget), seed)
    assert value(limited) <= value(free) + SUM_ATOL


@pytest.mark.parametrize("budget", [1, 2, 5, 17])
def test_limits_that_do_not_bind_change_nothing(budget):
    wide = GrowthLimits(max_depth=budget, children_per_node=VOCABULARY, expanded_per_level=budget)
    limited, _ = grow(LimitedGrowth(0, budget, wide), 3)
    free, _ = grow(BestFirstGrowth(0, budget), 3)
    np.testing.assert_array_equal(limited.tokens, free.tokens)
    np.testing.assert_array_equal(limited.parents, free.parents)


def test_tight_limits_cost_something():
    """The comparison above can fail: on this law a chain is clearly worse than the best tree."""
    chain, _ = grow(LimitedGrowth(0, 8, GrowthLimits(max_depth=7, children_per_node=1)), 3)
    free, _ = grow(BestFirstGrowth(0, 8), 3)
    assert value(chain) < value(free) - 0.1


def test_never_drafted_tokens_do_not_use_up_the_width():
    growth = LimitedGrowth(0, 9, GrowthLimits(max_depth=2, children_per_node=2), never_drafted=[0])
    growth.expand(0, CandidateLaw(np.arange(3), np.log([0.8, 0.15, 0.05])))
    assert growth.known.tokens == [0, 1, 2]


@pytest.mark.parametrize("name", ["max_depth", "children_per_node", "expanded_per_level"])
def test_limits_below_one(name):
    with pytest.raises(InvalidInput, match=name):
        GrowthLimits(**{name: 0})
