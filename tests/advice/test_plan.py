"""Predicted speed against the truth of a planted source on a machine whose times are made up."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from speclight.advice.plan import plan
from speclight.advice.plan_words import reasons, recommendation
from speclight.advice.planted import DRAFTER, PlantedPair, random_pair
from speclight.advice.prices import CallPrices
from speclight.advice.traced_calls import Choice
from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.level_times import LevelTimes

GROWTHS = ("best_first", "threshold=0.1", "chain")
BUDGETS = (2, 4, 8)
RULE = "target_sample"
CHOICE = Choice(node_budgets=BUDGETS)
LOOP = 0.2e-3


def curve(nodes, seconds, batch_size=1) -> CallTimeCurve:
    rows = np.array([seconds], dtype=np.float64)
    return CallTimeCurve(np.array(nodes), np.array([100]), rows, rows, rows, batch_size)


STEPS = curve((1, 2, 4, 8), (10e-3, 11e-3, 12e-3, 20e-3))
FLAT = curve((1, 8), (10e-3, 10e-3))
STEEP = curve((1, 8), (10e-3, 80e-3))


def drafting(first, later) -> LevelTimes:
    """A drafter whose first call takes so long, and later ones with 1 and 8 nodes."""
    once, rows = np.full(3, first), np.array(later)
    return LevelTimes(DRAFTER, 100, once, np.array([1, 8]), rows, rows, rows)


LEVEL = drafting(1.5e-3, (1e-3, 2e-3))
FREE = drafting(1e-9, (1e-9, 1e-9))


@dataclass(frozen=True)
class Around:
    """A loop of some seconds a node, growing of others."""

    loop: float
    growing: float = 0.0

    def loop_seconds(self, growth, nodes):
        return self.loop * np.asarray(nodes)

    def growing_seconds(self, growth, nodes):
        return self.growing * np.asarray(nodes)


def prices(target=STEPS, drafter=LEVEL, loop_seconds=0.0) -> CallPrices:
    return CallPrices(target, 100.0, {DRAFTER: drafter}, loop_seconds)


@pytest.fixture(scope="module")
def pair() -> PlantedPair:
    return random_pair(6, 5, 0.8, np.random.default_rng(3))


@pytest.fixture(scope="module")
def starts(pair):
    return pair.starts(600, 1, 16, GROWTHS, BUDGETS, np.random.default_rng(4))


def by_name(found):
    return {(each.configuration.growth, each.configuration.node_budget): each for each in found.predictions}


def test_predicted_speed_is_the_true_one_within_its_error(pair, starts):
    """Nine z-tests at 4.5 standard errors, false alarm below 1e-4 by the normal law.

    Errors are below 2% of the values, of which drafting makes at least 6%.
    """
    found = by_name(plan(starts, RULE, prices(loop_seconds=LOOP), choice=CHOICE))
    for growth in GROWTHS:
        for budget in BUDGETS:
            drafts = [pair.draft(state, growth, budget) for state in range(6)]
            seconds = [
                STEPS.seconds(len(draft.tree))
                + LEVEL.seconds(draft.cost.calls, draft.cost.expanded_nodes)
                + LOOP
                for draft in drafts
            ]
            calls = pair.call_start_law(growth, budget)
            true = calls @ pair.expected_tokens(growth, budget) / (calls @ np.array(seconds))
            speed = found[growth, budget].tokens_per_second
            assert speed.standard_error is not None
            assert abs(speed.value - true) < 4.5 * speed.standard_error, (growth, budget)
            assert speed.standard_error < 0.02 * speed.value


def test_where_nodes_and_drafting_are_free_the_largest_tree_wins(starts):
    found = plan(starts, RULE, prices(FLAT, FREE), choice=CHOICE)
    assert found.best.configuration.growth == "best_first"
    assert found.best.configuration.node_budget == 8
    assert recommendation(found).startswith("Draft with planted, best_first, target_sample, P = 8: ")
    assert "it brings more than it takes" in reasons(found)[0]
    # The oracle drafts better for nothing.
    assert found.oracle.node_budget == 8
    assert found.oracle.tokens_per_second > found.best.tokens_per_second.value


def test_where_nodes_cost_too_much_nothing_is_drafted_and_the_reason_is_said(starts):
    found = plan(starts, RULE, prices(STEEP), choice=CHOICE)
    assert found.best.configuration.is_plain
    assert recommendation(found) == "Do not speculate: plain decoding gives 100.0 tokens per second."
    call, limit = reasons(found)
    assert "it brings less than it takes" in call
    assert "Not even the target's own best trees" in limit
    assert found.speed_up(found.best_draft).high < 1.0


def test_a_poor_drafter_on_a_machine_where_a_good_one_would_pay(pair):
    poor = PlantedPair(pair.target, np.roll(pair.target, 2, axis=1), pair.next_state)
    starts = poor.starts(60, 1, 16, GROWTHS, BUDGETS, np.random.default_rng(0))
    found = plan(starts, RULE, prices(FLAT, drafting(5e-3, (5e-3, 5e-3))), choice=CHOICE)
    assert found.best.configuration.is_plain
    assert "a better or faster drafter could pay" in reasons(found)[-1]


def test_what_a_trace_cannot_decide_is_said(pair):
    starts = pair.starts(5, 1, 16, GROWTHS, BUDGETS, np.random.default_rng(0))
    drafted = plan(starts, RULE, prices(FLAT, FREE), choice=Choice(("planted",), ("chain",), (2,))).best
    # As slow as the chain is good: the speed-up is 1 give or take its error.
    even = drafting(10e-3 * (drafted.tokens_per_call - 1.0) - 1e-5, (1.0, 1.0))
    found = plan(starts, RULE, prices(FLAT, even), choice=Choice(("planted",), ("chain",), (2,)))
    assert not found.best.configuration.is_plain
    assert recommendation(found).endswith("is not decided by this trace.")


def test_families_are_mixed_by_their_shares_of_the_tokens(starts):
    named = [replace(start, family="code" if start.prompt_id < "text-00300" else "qa") for start in starts]
    alone = {family: by_name(plan(named, RULE, prices(), {family: 1.0}, CHOICE)) for family in ("code", "qa")}
    both = by_name(plan(named, RULE, prices(), {"code": 3.0, "qa": 1.0}, CHOICE))
    for name, found in both.items():
        per_token = sum(
            share / alone[family][name].tokens_per_second.value
            for family, share in (("code", 0.75), ("qa", 0.25))
        )
        assert found.tokens_per_second.value == pytest.approx(1.0 / per_token, rel=1e-12)
        whole = found.target_seconds + found.draft_seconds
        assert found.tokens_per_call / whole == pytest.approx(found.tokens_per_second.value, rel=1e-12)
    chain = both["chain", 4].tokens_per_second
    pooled = by_name(plan(starts, RULE, prices(), choice=CHOICE))["chain", 4].tokens_per_second
    assert chain.standard_error == pytest.approx(pooled.standard_error, rel=0.35)


def test_texts_of_a_batch_share_the_pass_and_not_the_drafting(starts):
    single, batch = (
        by_name(plan(starts, RULE, prices(curve((1, 8), (10e-3, 10e-3), size)), choice=CHOICE))
        for size in (1, 4)
    )
    one, four = single["chain", 4], batch["chain", 4]
    assert four.draft_seconds == pytest.approx(4.0 * one.draft_seconds)
    assert four.target_seconds == one.target_seconds
    assert batch["none", 1].tokens_per_second.value == pytest.approx(400.0)


def test_what_is_around_calls_is_part_of_the_prediction(starts):
    """Of drafted calls by their nodes, of plain ones by theirs; in a batch, once for each text."""
    loops = {"none": Around(1e-3), DRAFTER: Around(2e-3, 0.5e-3)}
    for batch_size in (1, 2):
        curve_here = curve((1, 8), (10e-3, 10e-3), batch_size)
        bare = by_name(plan(starts, RULE, CallPrices(curve_here, 100.0, {DRAFTER: LEVEL}), choice=CHOICE))
        found = plan(
            starts, RULE, CallPrices(curve_here, 100.0, {DRAFTER: LEVEL}, None, loops), choice=CHOICE
        )
        assert found.plain.loop_seconds == pytest.approx(batch_size * 1e-3)
        chain, before = by_name(found)["chain", 4], bare["chain", 4]
        assert chain.loop_seconds == pytest.approx(batch_size * 4 * 2e-3)
        assert chain.draft_seconds - before.draft_seconds == pytest.approx(batch_size * 4 * 0.5e-3)
        seconds = chain.target_seconds + chain.draft_seconds + chain.loop_seconds
        speed = batch_size * chain.tokens_per_call / seconds
        assert chain.tokens_per_second.value == pytest.approx(speed, rel=1e-12)
        assert found.plain.tokens_per_second.value == pytest.approx(batch_size / (10e-3 + batch_size * 1e-3))
    fixed = plan(
        starts, RULE, CallPrices(STEPS, 100.0, {DRAFTER: LEVEL}, LOOP, loops), choice=CHOICE
    )  # what is given stands in place of what was measured
    assert fixed.plain.loop_seconds == LOOP
    assert by_name(fixed)["chain", 4].loop_seconds == pytest.approx(LOOP, rel=1e-12)


def test_no_tree_is_verified_in_less_than_a_single_node():
    """Timed in a good moment, the drafter's loop would undercut that of plain decoding by half."""
    loops = {"none": Around(6e-3), DRAFTER: Around(1e-3)}
    machine = CallPrices(FLAT, 100.0, {DRAFTER: LEVEL}, None, loops)
    found = [machine.of_one(DRAFTER, "chain", nodes, 1, nodes).loop for nodes in (1, 4, 8)]
    np.testing.assert_allclose(found, [6e-3, 6e-3, 8e-3])


def test_what_was_not_timed_is_left_out_and_named(starts):
    short = plan(starts, RULE, prices(curve((1, 4), (10e-3, 11e-3))), choice=CHOICE)
    assert {each.configuration.node_budget for each in short.predictions} == {1, 2, 4}
    assert short.largest_budget == 4
    untimed = plan(starts, RULE, CallPrices(STEPS), choice=CHOICE)
    assert untimed.unpriced == ("planted",)
    assert untimed.best.configuration.is_plain
    assert "has been timed" in reasons(untimed)[0]


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"law": 1.0}, "the mix names the family 'law', expected one of planted"),
        ({"planted": 0.0}, "the share 0.0 of 'planted', expected one above 0"),
        ({}, "an empty mix"),
    ],
)
def test_mixes_that_cannot_be(starts, mix, message):
    with pytest.raises(InvalidInput, match=message):
        plan(starts, RULE, prices(), mix)


def test_prices_that_cannot_be():
    with pytest.raises(InvalidInput, match="begin at 2 nodes, expected 1"):
        CallPrices(curve((2, 8), (1e-3, 1e-3)))
    with pytest.raises(InvalidInput, match="loop_seconds -1"):
        CallPrices(STEPS, loop_seconds=-1.0)


def test_a_plan_says_how_much_its_own_prompts_count_and_what_was_taken_off(pair):
    starts = pair.starts(24, 1, 16, GROWTHS, BUDGETS, np.random.default_rng(1))
    families = ("code", "qa", "maths")
    named = [
        replace(start, family=families[int(start.prompt_id.removeprefix("text-")) % 3]) for start in starts
    ]
    found = plan(named, RULE, prices(FLAT, FREE), {"qa": 1.0})
    best = found.best
    assert 0.0 <= best.own_share < 1.0
    assert 0.0 < best.taken_off < 0.1
    said = " ".join(reasons(found))
    own = f"is to {100 * best.own_share:.0f}% what these texts' own 8 prompts say"
    assert (own if best.own_share > 0.0 else "do not tell them from those of other families") in said
    assert ("in part by luck" in said) == (best.taken_off >= 0.005)
    alone = plan([start for start in named if start.family == "qa"], RULE, prices(FLAT, FREE))
    assert alone.best.own_share == 1.0
    assert "own 8 prompts" not in " ".join(reasons(alone))
