"""`auto` in a world of known costs and acceptance: it finds the gain, and never loses more than it says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import speclight
from cases import thinned
from speclight.decoding import running_text
from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.options import TEXT_BY_SEED, chosen_decoding
from speclight.decoding.pace import FIRST_PLAIN, Pace, pace_of
from speclight.decoding.recent_seconds import CEILING, RecentSeconds
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import root_only
from speclight.trees.growing_tree import CandidateLaw, Draft, DraftCost, grown
from speclight.trees.paced_growth import PacedGrowth
from speclight.verification.rules import RULES
from toys import tiny_target

CALLS = 400
# Shares of the top candidates in a law; a context's confidence is the probability of the first.
REST = np.array([0.4, 0.2, 0.1, 0.05])


@dataclass
class World:
    """A target and a drafter without a model: laws are drawn, times are computed.

    growth: of a target call's seconds (1 for the root alone) with each further node. level: seconds of a
    drafter's call. honesty: of what the drafter says is likely, how much is: the target follows the
    drafter's law with this probability at each token, else its token is in no tree.
    """

    growth: float
    level: float
    honesty: float
    jitter: float = 0.05
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def law(self) -> np.ndarray:
        confidence = self.rng.beta(2.0, 1.0)
        return np.concatenate([[confidence], (1 - confidence) * REST])

    def draft(self, node_budget: int, pace: Pace | None) -> Draft:
        if node_budget == 1:
            return Draft(root_only(0), DraftCost(0, 0))
        inner = BestFirstGrowth(0, node_budget)
        growth = inner if pace is None else PacedGrowth(inner, pace)

        def laws(known, nodes):
            return [
                CandidateLaw(np.arange(1, 1 + len(law)), np.log(law)) for law in (self.law() for _ in nodes)
            ]

        return grown(growth, laws)

    def call(self, draft: Draft) -> CallTrace:
        tree, path = draft.tree, [0]
        while self.rng.random() < self.honesty:
            children = tree.children(path[-1])
            falls = np.flatnonzero(self.rng.random() < np.cumsum(np.exp(tree.log_probs[children])))
            if len(falls) == 0:
                break
            path.append(int(children[falls[0]]))
        noise = 1.0 + self.jitter * self.rng.standard_normal()
        target = (1.0 + self.growth * (len(tree) - 1)) * max(0.5, noise)
        drafting = self.level * draft.cost.calls
        return CallTrace(
            start=0, tree=tree, draft_cost=draft.cost, path=np.array(path),
            emitted_tokens=tuple(range(len(path))), top_two_margins=(), target_log_probs=None,
            seconds=PhaseSeconds(drafting, target, 0.0, 0.0),
        )  # fmt: skip

    def rate(self, node_budget: int) -> float:
        """Tokens per second of a fixed budget."""
        return rate([self.call(self.draft(node_budget, None)) for _ in range(CALLS)])

    def paced(self) -> list[CallTrace]:
        pace, calls = Pace(), []
        for _ in range(CALLS):
            calls.append(self.call(self.draft(pace.node_budget(grows=True), pace)))
            pace.learn(calls[-1])
        return calls


def rate(calls: list[CallTrace]) -> float:
    return sum(call.tokens_emitted for call in calls) / sum(call.seconds.total for call in calls)


@pytest.mark.parametrize(("growth", "level", "honesty"), thinned([(0.02, 0.1, 1.0), (0.1, 0.02, 1.0)]))
def test_where_drafting_pays_it_comes_close_to_the_best_fixed_budget_or_beats_it(growth, level, honesty):
    """Trees that follow each context's confidence make up for what learning costs. Means of four worlds: that
    of one is off by 3%.
    """
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    auto = np.mean([rate(World(growth, level, honesty, rng=rng).paced()) for rng in rngs])
    fixed = [
        np.mean([World(growth, level, honesty, rng=rng).rate(budget) for rng in rngs])
        for budget in (1, 2, 4, 6, 8, 12)
    ]
    assert max(fixed) > 1.1
    assert auto > 0.92 * max(fixed)


@pytest.mark.parametrize(
    ("growth", "level", "honesty"),
    [
        (0.6, 0.0, 1.0),  # a steep call
        (0.02, 0.8, 0.9),  # a slow drafter
        (0.05, 0.1, 0.0),  # a drafter that is sure, and never right
        (0.3, 0.3, 0.3),
    ],
)
def test_where_it_does_not_pay_no_more_than_three_per_cent_are_lost(growth, level, honesty):
    world = World(growth, level, honesty)
    calls = world.paced()
    assert rate(calls) > 0.97
    assert any(len(call.tree) > 1 for call in calls)  # it was tried


def test_what_earlier_texts_won_is_not_lost_on_the_next():
    """Twelve texts of 64 tokens after a good stretch: the mean of their rates has an error of 0.3%."""
    rates: list[float] = []
    for seed in range(12):
        world, pace = World(growth=0.06, level=0.09, honesty=1.0, rng=np.random.default_rng(seed)), Pace()
        for honesty, tokens in ((1.0, 100), (0.0, 64)):
            world.honesty, calls = honesty, list[CallTrace]()
            pace.begin()
            while sum(call.tokens_emitted for call in calls) < tokens:
                calls.append(world.call(world.draft(pace.node_budget(grows=True), pace)))
                pace.learn(calls[-1])
        assert any(len(call.tree) > 1 for call in calls)  # the last text was drafted for
        rates.append(rate(calls))
    assert np.mean(rates) > 0.97


def test_plain_calls_of_uneven_length_leave_the_stake_alone():
    """Every fourth takes twice as long, as beside another process; the median call does not."""
    world, pace = World(growth=0.02, level=0.1, honesty=1.0, jitter=0.0), Pace()
    pace.begin()
    for number in range(40):
        call = world.call(world.draft(1, None))
        longer = PhaseSeconds(0.0, 2.0 if number % 4 == 3 else 1.0, 0.0, 0.0)
        pace.learn(replace(call, seconds=longer, path=np.array([0]), emitted_tokens=(0,)))
    assert pace.call_seconds.plain == 1.0
    assert pace.node_budget(grows=True) > 1


def test_an_interrupted_draft_does_not_end_drafting():
    """One of twenty drafted calls takes as long as fifty; all of them emit two tokens."""
    world, pace = World(growth=0.02, level=0.1, honesty=1.0, jitter=0.0), Pace()
    pace.begin()
    for _ in range(FIRST_PLAIN):
        pace.learn(world.call(world.draft(1, None)))
    for number in range(20):
        call = world.call(world.draft(2, None))
        longer = replace(call.seconds, target=50.0) if number == 10 else call.seconds
        pace.learn(replace(call, seconds=longer, path=np.array([0, 1]), emitted_tokens=(0, 1)))
    pace.learn(world.call(world.draft(1, None)))
    assert pace.node_budget(grows=True) > 1


def test_a_drafter_of_which_little_is_worth_scoring_is_asked_no_more():
    """It says nothing likely; what it costs is staked and lost, though no tree but the root is scored."""
    world = World(growth=0.3, level=0.1, honesty=1.0, jitter=0.0)
    world.law = lambda: np.array([0.05, 0.04])
    pace, asked = Pace(), list[int]()
    for _ in range(CALLS):
        draft = world.draft(pace.node_budget(grows=True), pace)
        asked.append(draft.cost.calls)
        pace.learn(world.call(draft))
    assert sum(asked) > 2  # it was tried
    assert sum(asked[CALLS // 2 :]) <= 4


def test_a_faster_machine_is_noticed():
    """Plain calls take 1 s at first, half of that later; a drafted call of two tokens takes 1.6 s always."""
    world, pace = World(growth=0.02, level=0.1, honesty=1.0, jitter=0.0), Pace()
    pace.begin()
    plain, drafted = (world.draft(budget, None) for budget in (1, 2))
    sizes: list[int] = []
    for number in range(300):
        is_plain = pace.node_budget(grows=True) == 1
        call = world.call(plain if is_plain else drafted)
        target = (1.0 if number < 100 else 0.5) if is_plain else 1.5
        seconds = PhaseSeconds(0.0 if is_plain else 0.1, target, 0.0, 0.0)
        path = np.array([0] if is_plain else [0, 1])
        pace.learn(replace(call, seconds=seconds, path=path, emitted_tokens=tuple(range(len(path)))))
        sizes.append(len(call.tree))
    assert np.mean(sizes[50:100]) > 1.8  # 1.25 times as fast as plain decoding
    assert np.mean(sizes[200:]) < 1.2  # 0.6 times


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_where_all_calls_change_together_the_plain_one_follows_without_being_called(factor):
    seconds = RecentSeconds()
    for _ in range(16):
        for size, own in ((1, 1.0), (2, 1.25)):
            seconds.learn(size, own)
    for _ in range(10):
        seconds.learn(2, 1.25 * factor)
    assert seconds.plain == pytest.approx(factor)
    assert seconds.curve[:2] == pytest.approx([factor, 1.25 * factor])


def test_sizes_that_are_called_alone_for_long_do_not_wander_off():
    """Trees of 2 and 4 nodes for 2,000 calls of which every 50th is plain: the plain one is told to 5%."""
    seconds, rng = RecentSeconds(), np.random.default_rng(0)
    told: list[float] = []
    for number in range(2000):
        size = 1 if number < 8 or number % 50 == 0 else (2, 4)[number % 2]
        seconds.learn(size, (1.0 + 0.1 * size) * (1.0 + 0.05 * rng.standard_normal()))
        told.append(seconds.plain)
    assert np.abs(np.array(told[200:]) / 1.1 - 1.0).mean() < 0.05


def test_a_first_call_that_was_interrupted_does_not_make_a_text_drafted_in_vain():
    """Eight texts of 128 tokens, little of them to be drafted, whose first call takes three times as long."""
    rates: list[float] = []
    for seed in range(8):
        world, pace = World(growth=0.1, level=0.2, honesty=0.2, rng=np.random.default_rng(seed)), Pace()
        calls = list[CallTrace]()
        pace.begin()
        while sum(call.tokens_emitted for call in calls) < 128:
            call = world.call(world.draft(pace.node_budget(grows=True), pace))
            pace.learn(call if calls else replace(call, seconds=PhaseSeconds(0.0, 3.0, 0.0, 0.0)))
            calls.append(call)
        rates.append(rate(calls))
    assert min(rates) > 0.95


def test_call_seconds_are_common_to_the_drafters_of_a_target():
    target = tiny_target(layers=1)
    one, other = (pace_of(target, name, "target_sample", 1.0) for name in ("ngram", "eagle3"))
    one.call_seconds.learn(1, 0.5)
    assert other.call_seconds.plain == 0.5
    assert one.calibration is not other.calibration
    assert pace_of(target, "eagle3", "target_sample", 1.0) is other
    assert not pace_of(target, "eagle3", "target_sample", 1.0, draft_ahead=True).call_seconds.plain


@pytest.mark.slow
def test_a_drafter_that_turns_bad_is_given_up_and_one_that_turns_good_is_found_again():
    world, pace = World(growth=0.02, level=0.1, honesty=1.0), Pace()
    sizes, rates = dict[str, float](), dict[str, float]()
    for phase, honesty in (("good", 1.0), ("bad", 0.0), ("good again", 1.0)):
        world.honesty = honesty
        calls = []
        for _ in range(CALLS):
            calls.append(world.call(world.draft(pace.node_budget(grows=True), pace)))
            pace.learn(calls[-1])
        sizes[phase] = float(np.mean([len(call.tree) for call in calls[CALLS // 2 :]]))
        rates[phase] = rate(calls[CALLS // 2 :])
    assert min(rates["good"], rates["good again"]) > 1.5
    assert rates["bad"] > 0.97
    assert sizes["bad"] < 2.0  # now and then it is tried again
    assert min(sizes["good"], sizes["good again"]) > 4.0


def test_calibration_learns_what_a_drafter_overstates():
    pace, world = Pace(), World(growth=0.0, level=0.0, honesty=0.5)
    likely = np.log(np.array([0.9]))
    assert pace.calibration.probability(likely) == pytest.approx(0.9)
    for _ in range(200):
        trace = world.call(world.draft(4, None))
        pace.calibration.learn(
            trace.tree.path_log_probs[1:], np.isin(range(1, len(trace.tree)), trace.path) * 1.0
        )
    assert 0.35 < pace.calibration.probability(likely)[0] < 0.6


def test_a_drafter_that_cannot_be_asked_gets_a_budget():
    """Seconds and acceptance of chains: with half the drafts accepted at no cost, some are worth drafting."""
    world, pace = World(growth=0.03, level=0.0, honesty=0.9), Pace()
    budgets = []
    for _ in range(CALLS):
        budgets.append(pace.node_budget(grows=False))
        pace.learn(world.call(world.draft(budgets[-1], None)))
    assert 1 < np.median(budgets[CALLS // 2 :]) < CEILING


def test_the_first_call_is_plain():
    assert Pace().node_budget(grows=True) == 1


@pytest.mark.parametrize("grows", [True, False])
def test_trees_grow_step_by_step(grows):
    """In a world where nothing costs anything all nodes are worth it, but their seconds are not known yet."""
    world, pace = World(growth=0.0, level=0.0, honesty=1.0), Pace()
    budgets, largest = list[int](), 1
    for _ in range(40):
        budgets.append(pace.node_budget(grows=grows))
        assert budgets[-1] <= 2 * largest
        pace.learn(world.call(world.draft(budgets[-1], None)))
        largest = max(largest, budgets[-1])
    assert budgets[: FIRST_PLAIN + 2] == [1] * FIRST_PLAIN + [2, 4]


def test_of_the_texts_of_a_batch_one_is_tried():
    world, pace = World(growth=0.6, level=0.3, honesty=0.0), Pace()
    for number in range(2 * CALLS):
        budgets = [pace.node_budget(grows=True) for _ in range(4)]  # all draft before any is verified
        if number > CALLS:  # by then it is known that drafting does not pay, and what is drafted is a trial
            assert sum(budget > 1 for budget in budgets) <= 1
        for budget in budgets:
            pace.learn(world.call(world.draft(budget, None)))


class Dice:
    """A pace that goes by nothing: whatever the clock could make it say."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def begin(self) -> None:
        pass

    def node_budget(self, *, grows: bool) -> int:
        return int(self._rng.integers(1, 9))

    def worth_expanding(self, path_log_probs: np.ndarray, size: int) -> list[bool]:
        return (self._rng.random(len(path_log_probs)) < 0.7).tolist()

    def worth_scoring(self, path_log_probs: np.ndarray) -> int:
        return int(self._rng.integers(1, len(path_log_probs) + 1))

    def learn(self, trace: CallTrace) -> None:
        pass


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_default_budget_is_auto_where_the_text_follows_from_the_seed(rule, temperature, monkeypatch):
    if rule == "greedy" and temperature:
        return  # refused
    options = {"rule": rule, "temperature": temperature}
    budget = chosen_decoding(**options).settings.node_budget
    assert budget == ("auto" if isinstance(RULES[rule], TEXT_BY_SEED) else 8)
    if budget != "auto":
        return
    pace = Dice()
    monkeypatch.setattr(running_text, "pace_of", lambda *_: pace)
    target, sizes = tiny_target(6, seed=3, layers=1), set()
    for seed in range(2):
        given = {"max_tokens": 20, "seed": seed, "raw": True, **options}
        plain = speclight.generate(target, "t1 t2 t1 t2 t1", drafter="none", **given)
        drafted = speclight.generate(target, "t1 t2 t1 t2 t1", drafter="ngram", **given)
        assert drafted.token_ids == plain.token_ids
        sizes |= {len(call.tree) for call in drafted.calls}
    assert len(sizes) > 2  # else nothing was put to the test
