"""The race comparison: expected tokens against enumerated and simulated calls, and limits."""

import numpy as np
import pytest

from law_pairs import random_pairs
from race_tail_check import check_tail
from speclight.errors import InvalidInput
from speclight.experiments.races.run import ANY_RULE, rules_above_coupling_bound
from speclight.experiments.races.values import (
    batch_tree,
    chain_tree,
    tokens_of_any_rule,
    tokens_of_block,
    tokens_of_k_seq_tree,
    tokens_of_lists,
    tokens_of_tree,
    tree_for,
)
from speclight.theory.coins.optimal_transport import transport_without_replacement
from speclight.theory.races.emitted_ranks import emitted_ranks
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.rank_entropy import divergence_lower_bound, entropy_terms
from speclight.theory.races.rank_tree import optimal_rank_tree
from speclight.theory.races.speed_up import speed_up, speed_up_converse
from speclight.trees.shapes import by_level
from speclight.verification.rules import RULES
from tabular import ExactText, TabularPair, all_texts

# Sums of some 10^3 products of float64 probabilities, k-seq's rho to rounding.
EXACT_ATOL = 1e-10


def along(pair, text, ranks=3):
    """Laws given the emitted token at each place of a text of the tabular pair."""
    rng = np.random.default_rng(1)
    return [
        emitted_ranks(
            pair.target(text[:place]), pair.drafter(text[:place]), text[place], rng.random((8, ranks - 1))
        )
        for place in range(len(text))
    ]


def over_texts(pair, depth, value):
    """Sum over texts of depth tokens of the target's chance times a value of the laws along the text."""
    law = pair.text_law((), depth)
    return sum(law[text] * value(along(pair, text)) for text in all_texts(depth) if law[text] > 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_expected_tokens_given_the_text_average_to_the_rules_own(seed):
    """Against the package's rules with drafts and coins enumerated: chains and batches."""
    pair = TabularPair(seed)
    for name, children, tree in (
        ("rejection", [1, 1], chain_tree(2)),
        ("rejection", [3], batch_tree(3)),
        ("k_seq", [3], batch_tree(3)),
    ):
        exact = ExactText(RULES[name], pair, by_level(children), "with_replacement").tokens_per_call
        depth = len(children)

        def value(laws, name=name, tree=tree):
            if name == "k_seq":
                return tokens_of_k_seq_tree(np.stack([law.k_seq for law in laws]), tree, starts=1)[0]
            ranks = np.stack([law.rejection for law in laws])
            return tokens_of_tree(ranks, tree, starts=1)[0]

        assert abs(over_texts(pair, depth, value) - exact) < EXACT_ATOL


@pytest.mark.parametrize("seed", range(3))
def test_merging_repeated_draws_gains_a_little_over_the_trees_compared(seed):
    """In the comparison a repeated draw has a subtree of its own, which is never reached; the package's
    growth lets the first draw have its places, so its calls emit a little more."""
    pair = TabularPair(seed)
    exact = ExactText(RULES["rejection"], pair, by_level([2, 1]), "with_replacement").tokens_per_call

    def value(laws):
        first, second = (law.rejection for law in laws)
        return 1.0 + first[:2].sum() * (1.0 + second[0])

    gain = exact - over_texts(pair, 2, value)
    assert -EXACT_ATOL < gain < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_block_verification_given_the_text(seed):
    pair = TabularPair(seed, ("unrelated", "zero in drafter"))
    exact = ExactText(RULES["block"], pair, by_level([1, 1, 1]), "with_replacement").tokens_per_call
    mean = over_texts(
        pair, 3, lambda laws: tokens_of_block(np.array([law.ratio for law in laws]), 3, starts=1)[0]
    )
    assert abs(mean - exact) < EXACT_ATOL


@pytest.mark.parametrize("seed", range(4))
def test_no_rule_exceeds_the_coupling_bound_and_one_that_would_is_named(seed):
    """Text by text on tabular pairs: coins, blocks and races stay below; a rule raised by 1% does not."""
    pair = TabularPair(seed, ("unrelated", "zero in drafter"))
    laws = along(pair, (0, 1, 2))
    ratio = np.array([law.ratio for law in laws])
    most, draft = tokens_of_any_rule(ratio, 3, starts=2), chain_tree(3)
    chain = {
        ("rejection", "sequence"): [tokens_of_tree(np.stack([law.rejection for law in laws]), draft, 2)],
        ("race", "sequence"): [tokens_of_tree(np.stack([law.race for law in laws]), draft, 2)],
        ("block", "sequence"): [tokens_of_block(ratio, 3, starts=2)],
        (ANY_RULE, "sequence"): [most],
        ("race", "batch"): [most + 1.0],
    }
    assert rules_above_coupling_bound(chain) == []
    planted = chain | {("block", "sequence"): [most * np.array([0.9, 1.01])]}
    assert rules_above_coupling_bound(planted) == ["block"]


def test_one_list_is_the_race_on_a_chain():
    pair = TabularPair(2, ("unrelated",))
    laws = along(pair, (0, 1, 2))
    any_set, matching = (
        np.stack([getattr(law, name) for law in laws]) for name in ("any_set", "matching_sets")
    )
    chain = tokens_of_tree(np.stack([law.race for law in laws]), chain_tree(3), starts=1)
    np.testing.assert_allclose(tokens_of_lists(any_set, matching, 1, 3, starts=1), chain, atol=1e-3)


def test_a_race_accepts_no_more_than_optimal_transport():
    for target, drafter in random_pairs(20, seed=11):
        tokens, rng = np.flatnonzero(target > 0.0), np.random.default_rng(0)
        laws = [emitted_ranks(target, drafter, int(token), rng.random((4, 3))) for token in tokens]
        for drafts in (1, 2, 4):
            accepted = sum(target[t] * law.race[:drafts].sum() for t, law in zip(tokens, laws, strict=True))
            assert accepted <= transport_without_replacement(target, drafter, drafts) + 1e-8


@pytest.mark.parametrize("drafted", [1, 4, 16, 64, 1024])
def test_synthetic_ranks_stay_below_their_bound_and_come_near_it(drafted):
    """i.i.d. ranks on 4 letters: simulated calls, 20,000 each. Beyond the bound by 3 standard errors never
    (the bound holds exactly, so false alarms are below 0.2% each); within 10% of it at 1024 drafted tokens.
    """
    ranks, rng = np.array([0.7, 0.2, 0.07, 0.03]), np.random.default_rng(3)
    tree = optimal_rank_tree(ranks, drafted)
    child = np.full((len(tree) + 1, 5), -1)
    child[tree.parents[1:], tree.ranks[1:]] = np.arange(1, len(tree))
    node, tokens = np.zeros(20_000, dtype=np.int64), np.zeros(20_000)
    while (node >= 0).any():
        tokens += node >= 0
        following = child[np.maximum(node, 0), 1 + rng.choice(4, size=len(node), p=ranks)]
        node = np.where(node >= 0, following, -1)
    error = tokens.std() / np.sqrt(len(tokens))
    entropy = float(entropy_terms(ranks).sum())
    bound = speed_up(drafted + 1, 4, entropy, RankConvention.DISTINCT).value
    assert abs(tokens.mean() - tree.expected_tokens) < 4.0 * error
    assert tokens.mean() <= bound + 3.0 * error
    assert tree.expected_tokens >= speed_up_converse(drafted + 1, entropy).value
    if drafted == 1024:
        assert tokens.mean() > 0.9 * bound


def test_the_inconsistent_pair_of_bounds_is_refused():
    target, drafter = np.array([0.0, 1.0]), np.array([0.999, 0.001])
    with pytest.raises(InvalidInput, match="counting leaves"):
        speed_up(2, 2, 0.5, RankConvention.WITH_REPLACEMENT)
    with pytest.raises(InvalidInput, match="cannot be combined with the speed-up theorem"):
        divergence_lower_bound(target, drafter, RankConvention.DISTINCT)


def test_a_fitted_tree_prefers_likely_ranks_but_rejection_needs_the_lower_ones():
    ranks = [np.array([[0.1, 0.6, 0.2]])]
    assert tree_for(ranks, 1, needs_lower_ranks=False).ranks.tolist() == [0, 2]
    assert tree_for(ranks, 1, needs_lower_ranks=True).ranks.tolist() == [0, 1]


def tail_law(vocabulary=4_000):
    law = 1.0 / np.arange(1, vocabulary + 1) ** 1.5
    return law / law.sum()


def test_the_tail_of_a_large_vocabulary_wins_as_often_as_it_should():
    """3,000 races, some 50 cells: false alarm 1e-4. Times cut to 24 bits as in the next test are noticed."""
    check = check_tail(tail_law(), 3_000, seed=1)
    assert check.p_value > 1e-4
    assert check.cells > 20
    assert abs(check.tail_races - check.tail_expected) < 5.0 * np.sqrt(check.tail_expected)


def test_coarse_times_are_noticed_by_the_tail_check(monkeypatch):
    """Broken on purpose: uniforms of 8 bits, whose zeros let random tokens win."""
    coarse = lambda words: np.floor(words.astype(np.float64) * 2.0**-56) * 2.0**-8 + 1e-300  # noqa: E731
    monkeypatch.setattr("race_tail_check.exponential_times", coarse)
    assert check_tail(tail_law(), 3_000, seed=1).p_value < 1e-8
