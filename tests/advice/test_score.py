"""Scores of a trace against the truth of a planted source, where every expectation is a finite sum."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from advice.planted_texts import LENGTH, starts_in_texts, text_pair, tokens_per_call, toy_profile
from speclight.advice.call_starts import counted_shares, visits
from speclight.advice.planted import DRAFTER, PlantedPair, random_pair
from speclight.advice.score import frontier, score
from speclight.advice.start_set import start_set
from speclight.advice.traced_calls import Choice
from speclight.errors import InvalidInput
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import traced_positions
from speclight.measure.trace.traced import GrowthCost, SampledValue

GROWTHS = ("best_first", "eagle2=3,2,2", "threshold=0.1", "chain")
BUDGETS = (2, 4, 8)
RULE = "target_sample"


@pytest.fixture(scope="module")
def pair() -> PlantedPair:
    return random_pair(6, 5, 0.8, np.random.default_rng(3))


def starts_of(pair, prompts):
    return pair.starts(prompts, 1, 16, GROWTHS, BUDGETS, np.random.default_rng(4))


def scores_of(starts):
    return {
        (found.configuration.growth, found.configuration.node_budget): found
        for found in score(starts, RULE, Choice(node_budgets=BUDGETS))
    }


@pytest.fixture(scope="module")
def starts(pair):
    return starts_of(pair, 40)


@pytest.fixture(scope="module")
def scores(starts):
    return scores_of(starts)


def within_their_errors(pair, scores, largest):
    """How many standard errors the two start laws lie apart, after a z-test of every score."""
    apart = 0.0
    for growth in GROWTHS:
        for budget in BUDGETS:
            found, true = scores[growth, budget], pair.value(growth, budget)
            for measured, value in ((found.uniform, true.uniform), (found.decode, true.decode)):
                assert abs(measured.value - value) < largest * measured.standard_error, (growth, budget)
            apart = max(apart, abs(true.uniform - true.decode) / found.decode.standard_error)
    return apart


def test_scores_are_the_true_values_within_their_errors(pair, scores):
    """Of 40 prompts: 24 tests at 6 standard errors, false alarm 24 * 5e-7 < 2e-5, t with 39 degrees of
    freedom. Power: a score that is wrong by a tenth is found."""
    within_their_errors(pair, scores, 6.0)
    assert all(0.1 * each.uniform.value > 6.0 * each.uniform.standard_error for each in scores.values())


@pytest.mark.slow
def test_scores_of_many_prompts_tell_the_start_laws_apart(pair):
    """Of 600: 24 z-tests at 4.5 standard errors, false alarm 24 * 7e-6 < 2e-4 by the normal law.

    At P = 8 the two laws differ by more than nine of these errors, so taking one for the other is found.
    """
    assert within_their_errors(pair, scores_of(starts_of(pair, 600)), 4.5) > 9.0


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(pair):
    """80 traces of 40 prompts: 95% intervals of a decode miss 4 times on average.

    Fewer than 12 misses: false alarm 5e-4 if they miss 5%, power 0.98 if they miss 20%.
    """
    true = pair.value("best_first", 8).decode
    rng = np.random.default_rng(11)
    choice = Choice(growths=("best_first",), node_budgets=(8,))
    misses = 0
    for _ in range(80):
        found = score(pair.starts(40, 1, 16, ("best_first",), (8,), rng), RULE, choice)
        decode = next(each.decode for each in found if not each.configuration.is_plain)
        misses += not decode.low <= true <= decode.high
    assert misses < 12


def test_the_walk_is_that_of_a_decode():
    # X along one window, by hand: the decode enters at 0, 1 or 2 with probabilities Pr[X > e]/E[X].
    emitted = np.array([[2], [1], [2], [1], [3], [1], [1], [1]])
    mean = emitted.mean()
    entry = [1.0 / mean, 3.0 / 8.0 / mean, 1.0 / 8.0 / mean]
    found = visits(np.array([0, 8]), np.arange(8, 16), emitted)[:, 0]
    # 0 -> 2, 1 -> 2, 2 -> 4 -> 7, and nothing reaches 5 or 6: all entries have met at 2.
    np.testing.assert_allclose(found, [0, 0, 0, 0, sum(entry), 0, 0, sum(entry)], rtol=0, atol=1e-12)


def test_the_walk_from_a_text_s_beginning_is_known_and_need_not_settle():
    emitted = np.array([[2], [1], [2], [1], [3], [1], [1], [1]])
    found = visits(np.array([0, 8]), np.arange(8), emitted)[:, 0]
    np.testing.assert_array_equal(found, [1, 0, 1, 0, 1, 0, 0, 1])  # the call at 4 ends at 7


@pytest.mark.parametrize("windows_per_family", [27, 70, 1000])
def test_every_position_counts_alike_whatever_windows_are_taken(windows_per_family):
    """Mean over 200 seeds, by position of 40 texts of 48 tokens, within 5 standard errors of the mean of all.

    False alarm 48 * 6e-7 = 3e-5. Without the windows that begin a text the first 8 positions would not count
    at all, and without the smaller shares those would count up to twice.
    """
    found = []
    for seed in range(200):
        settings = TraceSettings((2,), window=16, windows_per_family=windows_per_family, seed=seed)
        runs = [starts for _, starts in traced_positions(toy_profile(40), settings)]
        positions = np.concatenate(runs)
        begins = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        shares = counted_shares(np.append(begins, len(positions)), positions)
        found.append(np.bincount(positions, shares, LENGTH) / shares.sum())
    errors = np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - 1.0 / LENGTH) <= 5.0 * errors + 1e-12)


def test_texts_that_begin_otherwise_than_they_go_on():
    """Scores of 120 windows of 400 texts, beside whole decodes: 6 tests at 5 standard errors, false alarm
    6 * 2e-6. Power: before windows that begin a text counted, each lay 9 or more standard errors too high,
    of its own smaller ones.
    """
    pair = text_pair()
    settings = TraceSettings(BUDGETS, ("best_first", "chain"), window=16, windows_per_family=120)
    starts = starts_in_texts(pair, 400, settings, np.random.default_rng(0))
    found = [each for each in score(starts, RULE, Choice(node_budgets=BUDGETS)) if each.decode is not None]
    assert len(found) == 1 + 6
    for each in found[:-1]:
        told, decode = each.configuration, each.decode
        true = tokens_per_call(pair, told.growth, told.node_budget)
        assert decode is not None
        assert decode.standard_error is not None
        assert abs(decode.value - true) < 5.0 * decode.standard_error
        assert 0.1 * (true - 1.0) > decode.standard_error


def test_plain_decoding_emits_one_token_and_is_scored_too(scores):
    plain = scores["none", 1]
    assert plain.configuration.is_plain
    assert (plain.tokens_per_call.value, plain.best_tree, plain.share.value, plain.nodes) == (1, 1, 1, 1)


def test_nothing_beats_the_target_s_own_best_tree(scores):
    for found in scores.values():
        assert found.tokens_per_call.value <= found.best_tree + 1e-12  # equal sums in another order
        assert found.share.value == pytest.approx(found.tokens_per_call.value / found.best_tree, rel=1e-12)


def test_costs_are_those_traced_and_lie_between_them(starts):
    found = {each.configuration.node_budget: each for each in score(starts, RULE, Choice(growths=("chain",)))}
    for budget in range(2, 9):  # a chain asks once for each drafted token, whatever was traced
        assert found[budget].draft_calls == pytest.approx(budget - 1, rel=1e-12)
        assert found[budget].draft_nodes == pytest.approx(budget - 1, rel=1e-12)


def test_a_drafter_that_never_hits_emits_one_token(pair):
    wrong = PlantedPair(np.roll(np.eye(5)[[0] * 6], 0, axis=1), np.eye(5)[[1] * 6], pair.next_state)
    starts = wrong.starts(10, 1, 8, GROWTHS, BUDGETS, np.random.default_rng(0))
    for found in score(starts, "greedy"):
        assert found.tokens_per_call.value == 1.0
        assert (found.tokens_per_call.low, found.tokens_per_call.high) == (1.0, 1.0)


def test_scattered_starts_are_scored_as_uniform_ones_only(pair):
    starts = pair.starts(20, 3, 1, GROWTHS, BUDGETS, np.random.default_rng(0))
    for found in score(starts, RULE):
        assert found.decode is None or found.configuration.is_plain
        assert found.tokens_per_call == found.decode or found.tokens_per_call == found.uniform


def test_one_prompt_gives_values_without_intervals(pair):
    found = score(pair.starts(1, 2, 8, GROWTHS, BUDGETS, np.random.default_rng(0)), RULE)
    assert all(each.uniform.low is None and each.uniform.clusters == 1 for each in found)


def test_samples_are_scored_by_the_mean_over_their_noises(starts):
    values = [SampledValue("rejection", "chain", 4, noise, 1.0 + noise) for noise in range(3)]
    sampled = [
        replace(start, drafters={DRAFTER: replace(start.drafters[DRAFTER], sampled=tuple(values))})
        for start in starts[:32]
    ]
    found = [each for each in score(sampled, RULE) if each.configuration.rule == "rejection"]
    assert [each.uniform.value for each in found] == [2.0]
    assert found[0].decode is None
    assert found[0].draft_calls == pytest.approx(3.0)


def test_the_coupling_bound_stands_beside_chains_as_far_as_it_was_traced(starts):
    coupled = [
        replace(start, drafters={DRAFTER: replace(start.drafters[DRAFTER], coupling=np.array([0.5, 0.25]))})
        for start in starts[:32]
    ]
    found = {
        (each.configuration.growth, each.configuration.node_budget): each.coupling
        for each in score(coupled, RULE, Choice(node_budgets=(2, 3, 4)))
    }
    assert found["chain", 2] == pytest.approx(1.5)
    assert found["chain", 3] == pytest.approx(1.75)
    assert found["chain", 4] is None
    assert found["best_first", 2] is None


def test_the_frontier_rises_in_nodes_and_tokens(scores):
    kept = frontier(scores.values())
    assert kept[0].configuration.is_plain
    assert all(first.nodes < second.nodes for first, second in pairwise(kept))
    for found in scores.values():
        assert any(
            best.nodes <= found.nodes and best.tokens_per_call.value >= found.tokens_per_call.value
            for best in kept
        )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(drafters=("eagle3",)), "no drafter 'eagle3', expected one of planted"),
        (Choice(growths=("batch",)), "no growth 'batch', expected one of best_first, chain, eagle2=3,2,2"),
        (Choice(node_budgets=(9,)), "node budget 9, expected one from 1 to 8"),
        (Choice(node_budgets=(0,)), "node budget 0, expected one from 1 to 8"),
    ],
)
def test_what_the_trace_does_not_hold_is_refused(starts, choice, message):
    with pytest.raises(InvalidInput, match=message):
        score(starts, RULE, choice)


def test_traces_that_cannot_be_scored(starts):
    with pytest.raises(InvalidInput, match="a trace without starts"):
        score([], RULE)
    bare = [replace(start, drafters={}) for start in starts[:2]]
    with pytest.raises(InvalidInput, match="holds no drafter"):
        score(bare, RULE)
    with pytest.raises(InvalidInput, match="holds the drafters none, expected planted"):
        start_set([starts[0], bare[1]])
    costs = (GrowthCost("best_first", 8, 1, 1),)
    other = replace(starts[1], drafters={DRAFTER: replace(starts[1].drafters[DRAFTER], costs=costs)})
    with pytest.raises(InvalidInput, match="costs of different growths"):
        score([starts[0], other], RULE)
