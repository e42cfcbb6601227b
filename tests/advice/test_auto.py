"""`auto` led through traces of planted sources: what it is predicted to give, beside what it cannot beat."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from advice.planted_texts import LENGTH, starts_in_texts, text_pair
from advice.test_plan import FLAT, FREE, LEVEL, RULE, STEEP, STEPS, curve, drafting, prices
from speclight.advice.auto import ENTRIES, TracedLaws, auto_calls
from speclight.advice.configuration import Configuration
from speclight.advice.plan import plan
from speclight.advice.planted import DRAFTER, PlantedPair, random_pair
from speclight.advice.start_set import start_set
from speclight.advice.traced_calls import Choice
from speclight.decoding.pace import Pace
from speclight.measure.trace.settings import TraceSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import root_only
from speclight.trees.growing_tree import CandidateLaw, Draft, DraftCost, grown
from speclight.trees.paced_growth import PacedGrowth

BUDGETS = (2, 4, 8)


@pytest.fixture(scope="module")
def pair() -> PlantedPair:
    return random_pair(6, 5, 0.8, np.random.default_rng(3))


@pytest.fixture(scope="module")
def starts(pair):
    return pair.starts(40, 1, 16, ("best_first", "chain"), BUDGETS, np.random.default_rng(4))


def with_auto(starts, machine):
    found = plan(starts, RULE, machine, choice=Choice(growths=("best_first",)), with_auto=True)
    (auto,) = (each for each in found.predictions if each.configuration.is_auto)
    return found, auto


@pytest.fixture(scope="module")
def free(starts):
    return with_auto(starts, prices(FLAT, FREE))


def test_where_all_is_free_it_drafts_all_that_is_known(free):
    """Nothing costs: it has the largest tree's tokens per call, but for calls that are tried plainly."""
    found, auto = free
    largest = next(each for each in found.predictions if each.configuration.node_budget == 8)
    assert auto.configuration == Configuration(DRAFTER, "best_first", RULE, 8, is_auto=True)
    assert auto.tokens_per_call == pytest.approx(largest.tokens_per_call, rel=0.05)
    assert str(auto.configuration) == f"{DRAFTER}, best_first, {RULE}, P = auto"


def test_where_nodes_cost_too_much_it_decodes_plainly(starts):
    found, auto = with_auto(starts, prices(STEEP))
    assert found.speed_up(auto).value == pytest.approx(1.0, abs=0.03)
    assert auto.tokens_per_call < 1.1
    fixed = [each for each in found.predictions if not each.configuration.is_plain and each != auto]
    assert all(each.tokens_per_second.value < auto.tokens_per_second.value for each in fixed)


def test_its_tokens_are_those_of_the_trees_it_scores(starts):
    """Tokens over calls, and seconds of whole calls: a single text's sums, start by start."""
    together, machine = start_set(starts), prices(FLAT, LEVEL)
    calls = auto_calls(TracedLaws(together, DRAFTER), machine)
    counted = calls.calls > 0
    assert counted.any()
    assert np.all(calls.tokens[counted] >= calls.calls[counted] - 1e-9)
    best = together.best_tokens[:, 7]
    assert np.all(calls.tokens <= calls.calls * best + 1e-9)
    np.testing.assert_allclose(calls.target, calls.calls * 10e-3)
    np.testing.assert_array_equal(calls.loop, 0.0)
    # Windows of 16 starts: calls in their first half settle the walk, but for the first window of each walk.
    window, place = np.divmod(np.arange(len(together)), 16)
    assert 1 <= len(set(window[counted & (place < 8)])) <= len(ENTRIES)


def test_a_useless_drafter_costs_next_to_nothing(pair):
    """The pace promises to stay within one part in a hundred, and a quarter of a call in 64, of plain."""
    poor = PlantedPair(pair.target, np.roll(pair.target, 2, axis=1), pair.next_state)
    starts = poor.starts(40, 1, 16, ("best_first",), BUDGETS, np.random.default_rng(0))
    found, auto = with_auto(starts, prices(FLAT, drafting(5e-3, (5e-3, 5e-3))))
    assert 0.97 < found.speed_up(auto).value < 1.01


def test_texts_of_a_batch_are_paced_by_their_shares(starts, free):
    _, one = free
    _, four = with_auto(starts, prices(curve((1, 8), (10e-3, 10e-3), 4), FREE))
    assert four.tokens_per_second.value == pytest.approx(4.0 * one.tokens_per_second.value, rel=0.02)


def test_windows_are_strung_together_to_texts_that_each_begin_with_a_stake_of_their_own(monkeypatch):
    """As many as there are windows that begin one; windows of later and later places go on with them."""
    settings = TraceSettings((2,), ("best_first",), window=16, windows_per_family=27)
    starts = start_set(starts_in_texts(text_pair(), 40, settings, np.random.default_rng(0)))
    events: list[int | None] = []

    class Watched(TracedLaws):
        def at(self, row):
            events.append(row)
            return super().at(row)

    monkeypatch.setattr(Pace, "begin", lambda pace: events.append(None))
    auto_calls(Watched(starts, DRAFTER), prices(FLAT, LEVEL))
    positions, window_begins = starts.positions, starts.window_begins
    window = np.searchsorted(window_begins, np.arange(len(starts)), side="right") - 1
    texts: list[list[int]] = []  # of each text the windows it goes through
    for row in events:
        if row is None:
            texts.append([])
        elif not texts[-1] or texts[-1][-1] != window[row]:
            texts[-1].append(int(window[row]))
    begins = positions[window_begins[:-1]]
    assert events[0] is None
    assert len(texts) == len(ENTRIES) * (begins == 0).sum()
    assert sorted(each for text in texts for each in text) == sorted([*range(len(begins))] * len(ENTRIES))
    for text in texts:
        assert begins[text[0]] == 0
        assert np.all(np.diff(begins[text]) > 0) or len(text) == 1


def decode_speed(pair, machine, tokens, rng):
    """Times plain decoding's, of a decode of the planted pair by a pace that begins with nothing."""
    pace, spent, emitted = Pace(), 0.0, 0
    state = int(rng.choice(len(pair.target), p=pair.state_law))
    while emitted < tokens:
        accepted, state, seconds = called(pair, machine, state, pace, rng)
        spent += seconds
        emitted += accepted
    return emitted * machine.plain_seconds / spent


def speed_of_texts(pair, machine, texts, rng):
    """The same, of so many whole texts, each of which begins with a stake of its own."""
    pace, spent, emitted = Pace(), 0.0, 0
    for _ in range(texts):
        pace.begin()
        state = 0
        while state < LENGTH:
            accepted, state, seconds = called(pair, machine, state, pace, rng)
            spent += seconds
            emitted += accepted
    return emitted * machine.plain_seconds / spent


def called(pair, machine, state, pace, rng):
    """Tokens of one call, the state behind it, and its seconds, which the pace sees vary."""
    draft = drafted(pair, state, pace)
    seconds = machine.of_one(
        DRAFTER, "best_first", len(draft.tree), draft.cost.calls, draft.cost.expanded_nodes
    )
    path, behind = followed(pair, draft.tree, state, rng)
    uneven = np.exp(machine.unevenness * rng.standard_normal(2))
    drafting, rest = np.array([seconds.draft, seconds.target + seconds.loop]) * uneven
    call: Any = SimpleNamespace(
        tree=draft.tree,
        draft_cost=draft.cost,
        path=np.array(path),
        tokens_emitted=len(path),
        seconds=SimpleNamespace(draft=drafting, total=drafting + rest),
    )
    pace.learn(call)
    return len(path), behind, seconds.target + seconds.draft + seconds.loop


def drafted(pair, state, pace):
    def laws(known, nodes):
        return [CandidateLaw.most_probable(pair.drafter[after(known.token_path(node))], 5) for node in nodes]

    def after(path):
        at = state
        for token in path:
            at = int(pair.next_state[at, token])
        return at

    budget = min(pace.node_budget(grows=True), BUDGETS[-1])
    if budget == 1:
        return Draft(root_only(0), DraftCost(0, 0))
    return grown(PacedGrowth(BestFirstGrowth(0, budget), pace), laws)


def followed(pair, tree, state, rng):
    """Accepted nodes of a text drawn from the target, root first, and the state behind the call."""
    path = [0]
    while True:
        token = int(rng.choice(pair.vocabulary_size, p=pair.target[state]))
        state = int(pair.next_state[state, token])
        below = [node for node in tree.children(path[-1]) if tree.tokens[node] == token]
        if not below:
            return path, state
        path.append(int(below[0]))


@pytest.mark.slow
@pytest.mark.parametrize("timed", [STEPS, STEEP])
def test_it_is_as_fast_as_decodes_that_begin_with_nothing(pair, timed):
    """As many tokens as a trace of twelve windows holds, seconds that vary by a twentieth.

    20 decodes and 6 traces, fixed seeds: their means differ by 1% of chance. Where calls are steep, learning
    that it does not pay costs 5%.
    """
    machine = prices(replace(timed, low=0.966 * timed.medians, high=1.034 * timed.medians), LEVEL)
    rng = np.random.default_rng(6)
    true = np.mean([decode_speed(pair, machine, 12 * 16, rng) for _ in range(20)])
    found = []
    for seed in range(6):
        starts = start_set(pair.starts(12, 1, 16, ("best_first",), BUDGETS, np.random.default_rng(seed)))
        calls = auto_calls(TracedLaws(starts, DRAFTER), machine)
        spent = (calls.target + calls.draft + calls.loop).sum()
        found.append(calls.tokens.sum() * machine.plain_seconds / spent)
    assert np.mean(found) == pytest.approx(true, rel=0.025)


@pytest.mark.slow
def test_texts_of_a_drafter_that_knows_their_beginnings_alone():
    """Each text loses its stake behind its first tokens; as many tokens as 27 windows hold, 7 texts.

    20 decodes and 12 traces, fixed seeds. A pace that never begins a text anew would be promised 1.5% more.
    """
    pair, machine = text_pair((0.0, 0.4, 0.3, 0.3)), prices(STEPS, LEVEL)
    rng = np.random.default_rng(5)
    true = np.mean([speed_of_texts(pair, machine, 7, rng) for _ in range(20)])
    found = []
    for seed in range(12):
        settings = TraceSettings(BUDGETS, ("best_first",), window=16, windows_per_family=27, seed=seed)
        starts = start_set(starts_in_texts(pair, 40, settings, np.random.default_rng(seed)))
        calls = auto_calls(TracedLaws(starts, DRAFTER), machine)
        spent = (calls.target + calls.draft + calls.loop).sum()
        found.append(calls.tokens.sum() * machine.plain_seconds / spent)
    assert np.mean(found) == pytest.approx(true, rel=0.01)
