"""Tokens per call against H[R]: on exact trees, exact leaves, and a source with memory."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.rank_entropy import entropy_terms
from speclight.theory.races.rank_tree import optimal_rank_tree
from speclight.theory.races.speed_up import (
    residual_rank_entropy,
    speed_up,
    speed_up_as_printed,
    speed_up_converse,
    speed_up_static_tree,
    speed_up_with_replacement,
    static_tree_path_entropy,
    tunstall_limit,
)

DISTINCT = RankConvention.DISTINCT
# Sums of some thousand products of float64 probabilities, divided by an entropy above 0.01.
ROUNDING_ATOL = 1e-9

rank_laws = st.lists(st.integers(0, 30), min_size=2, max_size=8).filter(
    lambda weights: sum(map(bool, weights)) > 1
)


def law_of(weights):
    return np.array(weights, dtype=np.float64) / sum(weights)


def entropy_of(law):
    return float(entropy_terms(law).sum())


def random_static_tree(ranks, drafted, rng):
    """Parents and ranks of a random tree: any undrafted child of any node may come next."""
    open_edges, edges = [(0, rank) for rank in range(ranks)], []
    for node in range(1, drafted + 1):
        edges.append(open_edges.pop(int(rng.integers(len(open_edges)))))
        open_edges += [(node, rank) for rank in range(ranks)]
    return edges, open_edges


@given(rank_laws, st.integers(1, 400))
def test_best_rank_tree_lies_between_converse_and_theorem(weights, node_budget):
    law = law_of(weights)
    tokens = optimal_rank_tree(law, node_budget - 1).expected_tokens
    entropy = entropy_of(law)
    tight = speed_up(node_budget, len(law), entropy, DISTINCT).value
    printed = speed_up_as_printed(node_budget, len(law), entropy, DISTINCT).value
    assert speed_up_converse(node_budget, entropy).value <= tokens + ROUNDING_ATOL
    assert tokens <= tight + ROUNDING_ATOL
    assert tight <= printed + ROUNDING_ATOL


@given(rank_laws, st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_leaf_of_any_static_tree_pays_for_all_ranks(weights, drafted, seed):
    """H(leaf) = E[X] H[R] exactly, for random trees: the identity behind the theorem."""
    law = law_of(weights)
    edges, open_edges = random_static_tree(len(law), drafted, np.random.default_rng(seed))
    paths = [1.0]
    for parent, rank in edges:
        paths.append(paths[parent] * law[rank])
    leaves = np.array([paths[parent] * law[rank] for parent, rank in open_edges])
    assert len(leaves) == (drafted + 1) * (len(law) - 1) + 1
    assert float(entropy_terms(leaves).sum()) == pytest.approx(
        sum(paths) * entropy_of(law), abs=ROUNDING_ATOL
    )
    assert sum(paths) <= speed_up(drafted + 1, len(law), entropy_of(law), DISTINCT).value + ROUNDING_ATOL


def test_uniform_ranks_and_complete_levels_meet_the_bound():
    """m ranks, P = (m^d - 1) / (m - 1): the tree emits d tokens, and the tight form says d."""
    for ranks in (2, 3, 8):
        for depth in (1, 2, 3):
            budget = (ranks**depth - 1) // (ranks - 1)
            tokens = optimal_rank_tree(np.full(ranks, 1 / ranks), budget - 1).expected_tokens
            assert tokens == pytest.approx(depth, abs=ROUNDING_ATOL)
            bound = speed_up(budget, ranks, log(ranks), DISTINCT)
            assert bound.value == pytest.approx(depth, abs=ROUNDING_ATOL)
            assert speed_up_as_printed(budget, ranks, log(ranks), DISTINCT).value >= depth - ROUNDING_ATOL


def test_bound_is_within_ten_percent_at_1024_drafts_on_small_alphabets():
    rng = np.random.default_rng(51)
    for ranks in (2, 3, 5, 8):
        law = rng.dirichlet(np.ones(ranks))
        tokens = optimal_rank_tree(law, 1024).expected_tokens
        assert tokens <= speed_up(1025, ranks, entropy_of(law), DISTINCT).value <= 1.1 * tokens


def test_numbers_of_a_worked_example():
    """Computed by hand with bits: r = (0.7, 0.2, 0.07, 0.03), H = 1.245 bits, k = 1, 4, 16, 64, 1024."""
    law = np.array([0.7, 0.2, 0.07, 0.03])
    for drafted, tokens, bound in ((4, 2.77, 3.21), (16, 4.12, 4.58), (64, 5.66, 6.12), (1024, 8.85, 9.31)):
        assert optimal_rank_tree(law, drafted).expected_tokens == pytest.approx(tokens, abs=5e-3)
        assert speed_up(drafted + 1, 4, entropy_of(law), DISTINCT).value == pytest.approx(bound, abs=5e-3)
    # One draft cannot give more than two tokens, whatever the quotient (2.26) says.
    assert speed_up(2, 4, entropy_of(law), DISTINCT).value == 2.0
    assert optimal_rank_tree(law, 1).expected_tokens == pytest.approx(1.7, abs=ROUNDING_ATOL)


def test_tunstall_limit_is_approached_and_is_no_bound():
    law = np.array([0.5, 0.3, 0.2])
    ratios = []
    for drafted in (100, 10_000, 1_000_000):
        limit = tunstall_limit(drafted + 1, entropy_of(law))
        assert limit.side == "asymptotic"
        ratios.append(optimal_rank_tree(law, drafted).expected_tokens / limit.value)
    assert abs(ratios[2] - 1) < abs(ratios[1] - 1) < abs(ratios[0] - 1)
    # E[X] H <= ln(k (m - 1) + m) and >= ln k - ln E[X]: the ratio is 1 up to ln 2 / ln k = 5% above.
    assert 1.0 < ratios[2] < 1.0 + log(3) / log(1e6)


def test_arrival_index_breaks_the_theorem_and_is_refused():
    """p = (0, 1), q = (0.999, 0.001), one draft: E[X] = 1.001, but ln(2 * 1 + 1) / H = 0.14."""
    index = 0.001 * 0.999 ** np.arange(60_000)  # holds all but 1e-26
    entropy = entropy_of(index)
    tokens = 1.0 + index[0]
    assert log(2 * 1 + 1) / entropy < 0.15 < tokens
    with pytest.raises(InvalidInput, match="no largest value"):
        speed_up(2, 2, entropy, RankConvention.WITH_REPLACEMENT)
    with pytest.raises(InvalidInput, match="no largest value"):
        static_tree_path_entropy(2, 2, RankConvention.WITH_REPLACEMENT)
    last = max(residual_rank_entropy(index, drafted) for drafted in (0, 1))
    assert tokens <= speed_up_with_replacement(2, entropy, last).value


@given(st.floats(0.05, 0.95), st.integers(1, 200))
def test_with_replacement_form_holds_for_geometric_indices(stop, node_budget):
    index = stop * (1 - stop) ** np.arange(2000)  # at stop = 0.05 all but 3e-45
    tokens = optimal_rank_tree(index, node_budget - 1, needs_lower_ranks=True).expected_tokens
    # A geometric index has no memory: its entropy beyond b candidates is that of a fresh one.
    bound = speed_up_with_replacement(node_budget, entropy_of(index), entropy_of(index))
    assert tokens <= bound.value + ROUNDING_ATOL
    assert residual_rank_entropy(index, 3) == pytest.approx(entropy_of(index), abs=ROUNDING_ATOL)


@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_static_tree_form_holds_with_memory(seed, drafted):
    """Ranks form a Markov chain (the context is the previous rank): exact sums over every static tree."""
    rng = np.random.default_rng(seed)
    ranks = int(rng.integers(2, 5))
    kernel = rng.dirichlet(np.full(ranks, 0.4), size=ranks)
    entropies = np.array([entropy_of(row) for row in kernel])
    edges, _ = random_static_tree(ranks, drafted, rng)
    paths, contexts = [1.0], [0]
    for parent, rank in edges:
        paths.append(paths[parent] * kernel[contexts[parent], rank])
        contexts.append(rank)
    spent = float(np.array(paths) @ entropies[contexts])
    assert spent <= static_tree_path_entropy(drafted + 1, ranks, DISTINCT) + ROUNDING_ATOL
    # Two calls that average to these means, as the function sees recorded calls.
    tokens = np.array([1.0, 2 * sum(paths) - 1.0])
    bound = speed_up_static_tree(drafted + 1, ranks, np.array([spent, spent]), tokens, DISTINCT)
    assert tokens.mean() <= bound.value + ROUNDING_ATOL


def test_theorem_for_independent_ranks_fails_on_a_source_with_memory():
    """Half of the calls stay in a context of certain ranks, half in one of fair coins; a chain of 60 drafts.

    The marginal law of R at the start of a call is (3/4, 1/4), whose entropy allows 7.4 tokens; the chain
    gives 31.5. Counting the entropy met along the path allows them.
    """
    budget = 61
    tokens = np.array([61.0, 2.0 - 0.5**60])
    spent = np.array([0.0, tokens[1] * log(2)])
    plain = speed_up(budget, 2, entropy_of(np.array([0.75, 0.25])), DISTINCT)
    assert plain.value < 8 < tokens.mean()
    assert tokens.mean() <= speed_up_static_tree(budget, 2, spent, tokens, DISTINCT).value
    assert spent.mean() <= static_tree_path_entropy(budget, 2, DISTINCT)


def test_zero_entropy_gives_the_budget():
    assert speed_up(7, 5, 0.0, DISTINCT).value == 7.0
    assert speed_up_converse(7, 0.0).value == 7.0
    with pytest.raises(InvalidInput, match="needs k >= 1"):
        tunstall_limit(7, 0.0)
    with pytest.raises(InvalidInput, match="needs k >= 1"):
        tunstall_limit(1, 1.0)


def test_malformed_arguments_are_refused():
    with pytest.raises(InvalidInput, match="rank_entropy"):
        speed_up(4, 5, -0.1, DISTINCT)
    with pytest.raises(InvalidInput, match="vocabulary_size"):
        speed_up(4, 0, 1.0, DISTINCT)
    with pytest.raises(InvalidInput, match="node budget"):
        speed_up_converse(0, 1.0)
    with pytest.raises(InvalidInput, match="one length"):
        speed_up_static_tree(4, 5, np.array([1.0]), np.array([1.0, 2.0]), DISTINCT)
    with pytest.raises(InvalidInput, match="at least 1 token"):
        speed_up_static_tree(4, 5, np.array([1.0]), np.array([0.0]), DISTINCT)
