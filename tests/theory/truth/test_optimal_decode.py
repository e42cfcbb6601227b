"""The optimal decode: policy iteration, backward induction and a listing of policies agree."""

from itertools import product

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.truth.optimal_decode import best_long_run, fewest_calls, oracle_long_run
from speclight.theory.truth.sources import (
    TokenSource,
    stationary_law,
    sticky_source,
    tabular_source,
    uniform_source,
)


def trees(tokens, nodes):
    """Every tree of exactly `nodes` nodes below and with a root, as sets of paths."""

    def below(path, budget, token):
        if token == tokens:
            if budget == 0:
                yield ()
            return
        yield from below(path, budget, token + 1)
        for size in range(1, budget + 1):
            child = (*path, token)
            for own in below(child, size - 1, 0):
                for rest in below(path, budget - size, token + 1):
                    yield (child, *own, *rest)

    yield from below((), nodes - 1, 0)


def leaving(source, state, tree):
    """E X and the law of the next call's state of one tree in one state."""
    inside, law, emitted = {(), *tree}, np.zeros(len(source.start)), 0.0
    for path in inside:
        chance, at = 1.0, state
        for token in path:
            chance *= source.laws[at, 0, token]
            at = int(source.next_type[at, token].argmax())
        emitted += chance
        for token in range(source.laws.shape[-1]):
            if (*path, token) not in inside:
                law[int(source.next_type[at, token].argmax())] += chance * source.laws[at, 0, token]
    return emitted, law


def test_binary_trees_are_counted_by_the_catalan_numbers():
    """Trees with n nodes of at most two children each: the Catalan numbers 1, 2, 5, 14."""
    assert [len(list(trees(2, n))) for n in (1, 2, 3, 4)] == [1, 2, 5, 14]


@pytest.mark.parametrize(("states", "tokens", "budget"), [(3, 2, 4), (3, 3, 2), (2, 3, 3)])
def test_policy_iteration_finds_the_best_of_all_policies(states, tokens, budget):
    source = tabular_source(states, tokens, np.random.default_rng(3))
    options = [[leaving(source, s, tree) for tree in trees(tokens, budget)] for s in range(states)]
    best = 0.0
    for policy in product(*options):
        emitted, law = (np.array([choice[part] for choice in policy]) for part in (0, 1))
        best = max(best, float(stationary_law(law) @ emitted))
    assert best_long_run(source, budget) == pytest.approx(best, rel=1e-10)
    assert oracle_long_run(source, budget) <= best * (1 + 1e-10)


@pytest.mark.parametrize("budget", [2, 4, 7])
def test_backward_induction_grows_by_the_long_run_rate(budget):
    source = tabular_source(5, 2, np.random.default_rng(8))
    short, long = (fewest_calls(source, budget, tokens) for tokens in (200, 400))
    assert (long.tokens, short.tokens) == pytest.approx((400.0, 200.0))
    rate = best_long_run(source, budget)
    assert (long.tokens - short.tokens) / (long.calls - short.calls) == pytest.approx(rate, rel=1e-6)


def test_uniform_laws_and_ends():
    """Complete levels of a uniform source are exact; a text that ends at once takes one call of one token."""
    assert best_long_run(uniform_source(2), 7) == pytest.approx(3.0)
    assert oracle_long_run(uniform_source(2), 7) == pytest.approx(3.0)
    ending = TokenSource("end", np.array([[[0.0, 1.0]]]), np.ones((1, 2, 1)), np.ones(1), end_of_text=1)
    held = fewest_calls(ending, 3, 10)
    assert (held.calls, held.tokens) == (1.0, 1.0)
    coin = TokenSource("coin", np.array([[[0.5, 0.5]]]), np.ones((1, 2, 1)), np.ones(1), end_of_text=1)
    # A geometric text of 2 tokens on average. P = 2: each call emits one token, or two with chance 1/2.
    assert fewest_calls(coin, 2, 60).tokens == pytest.approx(2.0)
    assert fewest_calls(coin, 2, 60).calls == pytest.approx(4 / 3)


def test_sources_without_a_table_are_refused():
    with pytest.raises(InvalidInput, match="at random"):
        best_long_run(sticky_source(0.9, 0.1, 3), 2)
    with pytest.raises(InvalidInput, match="fewest_calls"):
        best_long_run(tabular_source(3, 2, np.random.default_rng(0), end_of_text=1), 2)
