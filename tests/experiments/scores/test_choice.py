"""Configurations chosen from planted traces, against the trees that the growths themselves make."""

from collections import Counter

import numpy as np
import pytest

from speclight.advice.planted import DRAFTER, random_pair
from speclight.advice.start_set import start_set
from speclight.errors import InvalidInput
from speclight.experiments.scores.choice import chosen_configurations, distinct_drafts

GROWTHS = ("best_first", "eagle2=3,2,1", "eagle2=3,2,2", "threshold=0.4", "chain", "batch")
BUDGETS = (2, 3, 6)
RULES = ("target_sample", "race", "block")


@pytest.fixture(scope="module")
def pair():
    return random_pair(3, 4, 0.6, np.random.default_rng(0))


@pytest.fixture(scope="module")
def starts(pair):
    return start_set(pair.starts(3, 2, 4, GROWTHS, BUDGETS, np.random.default_rng(1)))


def paths(tree):
    return frozenset(tuple(tree.tokens[tree.path(node)[1:]].tolist()) for node in range(len(tree)))


def test_growths_are_merged_exactly_where_they_draft_the_same_trees(pair, starts):
    """The trees that each growth makes in all three states, which the starts visit."""
    of_growth = {
        (growth, budget): tuple(paths(pair.draft(state, growth, budget).tree) for state in range(3))
        for growth in GROWTHS
        for budget in BUDGETS
    }
    truth = {
        (budget, tuple(other for other in GROWTHS if of_growth[other, budget] == of_growth[growth, budget]))
        for growth, budget in of_growth
    }
    found = distinct_drafts(starts, "target_sample", BUDGETS)
    assert {(each.calls.node_budgets[each.place], each.growths) for each in found} == truth
    assert len(found) == len(truth)
    # The planted laws hold both: growths alike and growths apart at the same budget.
    assert 1 < sum(budget == 2 for budget, _ in truth) < len(GROWTHS)
    assert sum(budget == 6 for budget, _ in truth) > 2


def test_growths_that_differ_at_some_starts_alone_stay_apart(pair, starts):
    """At P = 2 the threshold drafts nothing in the one state where nothing is likely; else as all others."""
    assert sorted(len(pair.draft(state, "threshold=0.4", 2).tree) for state in range(3)) == [1, 2, 2]
    alike = {each.growths for each in distinct_drafts(starts, "target_sample", (2,))}
    assert alike == {tuple(growth for growth in GROWTHS if growth != "threshold=0.4"), ("threshold=0.4",)}


def test_the_choice_covers_budgets_rules_and_growths_evenly(starts):
    """Of 6, each budget twice, each rule thrice, five of the six growths."""
    found = chosen_configurations(starts, 1.0, ("target_sample", "race"), BUDGETS, 6)
    told = [each.configuration for each in found]
    assert {each.drafter for each in told} == {DRAFTER}
    assert Counter(each.node_budget for each in told) == dict.fromkeys(BUDGETS, 2)
    assert Counter(each.rule for each in told) == {"target_sample": 3, "race": 3}
    assert len({each.growth for each in told}) == 5


def test_no_two_chosen_draft_alike(starts):
    for temperature, kept in (
        (1.0, lambda each: (each.draft, each.configuration.rule)),
        (0.0, lambda each: each.draft),
    ):
        every = chosen_configurations(starts, temperature, RULES, BUDGETS, 1000)
        assert len({kept(each) for each in every}) == len(every)
    # At temperature 0 all rules decode one text, so there is one of each draft.
    assert len(every) == len(distinct_drafts(starts, "greedy", BUDGETS))


def test_block_takes_chains_under_their_own_name(starts):
    every = chosen_configurations(starts, 1.0, RULES, BUDGETS, 1000)
    blocks = [each for each in every if each.configuration.rule == "block"]
    assert {each.configuration.growth for each in blocks} == {"chain"}
    assert {each.configuration.node_budget for each in blocks} == set(BUDGETS)
    (shortest,) = [each for each in blocks if each.configuration.node_budget == 2]
    assert "best_first" in shortest.alike
    assert "chain" not in shortest.alike


def test_scattered_starts_tell_nothing_of_decodes(pair):
    scattered = start_set(pair.starts(3, 2, 1, GROWTHS, BUDGETS, np.random.default_rng(1)))
    with pytest.raises(InvalidInput, match="trace with a window above 1"):
        chosen_configurations(scattered, 1.0, (), BUDGETS, 4)
