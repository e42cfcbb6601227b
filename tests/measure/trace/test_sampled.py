"""Sampled drafts of a trace: each rule's expected tokens, against what plain passes say of them."""

import numpy as np
import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import Model
from speclight.drafting.drafters import law_source
from speclight.errors import InvalidInput
from speclight.measure.profile import ProfiledText, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.along import traced_starts
from speclight.measure.trace.record import read_trace
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.sampled import with_samples
from speclight.measure.trace.sampled_names import read_sampled
from speclight.measure.trace.settings import TraceSettings
from speclight.models.sampling import SamplingSettings
from toys import law_after, tiny_target

VOCABULARY, END = 6, 5
PROMPT, SAMPLED, STARTS = (0, 1, 2), (0, 1, 3, 4, 1, 2), (3,)
NOISES = 300
SETTINGS = TraceSettings(
    node_budgets=(1, 2, 4),
    growths=("chain",),
    sampled=(
        "rejection",
        "block",
        "rejection_without_replacement:rank=0.5,0.3",
        "traversal:rank=0.5,0.3",
        "race",
    ),
    noises=NOISES,
)
# Of means over NOISES drafts: beyond 5 standard errors, a false alarm in fewer than 1 of 100,000 runs.
ERRORS = 5.0


@pytest.fixture(scope="module")
def target():
    return tiny_target(VOCABULARY, seed=3, end_of_text=frozenset({END}))


@pytest.fixture(scope="module")
def drafter():
    return tiny_target(VOCABULARY, seed=8)


@pytest.fixture(scope="module")
def starts(target, drafter):
    text = ProfiledText("p", "toy", 0, PROMPT, SAMPLED, np.zeros(len(SAMPLED)), None, None, False)
    source = {"model": law_source(Model(drafter), target)}
    traced = traced_starts(target, text, STARTS, source, SETTINGS, SamplingSettings())
    samplers = {"model": law_source(Model(drafter), target, kind="with_replacement")}
    return with_samples(target, text, traced, samplers, SETTINGS, SamplingSettings())


def values(start, rule, budget):
    return np.array(
        [
            value.expected_tokens
            for value in start.drafters["model"].sampled
            if (value.rule, value.node_budget) == (rule, budget)
        ]
    )


def laws_at(target, drafter, start):
    before = [*PROMPT, *SAMPLED[: start.start]]
    p, q = law_after(target, before), law_after(drafter, before)
    q = np.where(np.arange(VOCABULARY) == END, 0.0, q)
    return p, q / q.sum()


def test_one_sample_is_accepted_as_often_as_the_laws_overlap(target, drafter, starts):
    """Of every drafted token the exact probability is recorded; the mean over drafts is sum min(p, q)."""
    for start in starts:
        p, q = laws_at(target, drafter, start)
        accepted = np.minimum(1.0, p[:END] / q[:END])
        for rule in ("rejection", "block", "rejection_without_replacement", "traversal"):
            found = values(start, rule, 2) - 1.0
            assert len(found) == NOISES
            assert np.abs(found[:, None] - accepted).min(axis=1).max() < 1e-9
            error = np.sqrt(((q[:END] * accepted**2).sum() - np.minimum(p, q).sum() ** 2) / NOISES)
            assert abs(found.mean() - np.minimum(p, q).sum()) < ERRORS * error + 1e-12


def test_a_race_is_won_as_often_as_its_laws_say(target, drafter, starts):
    """The first candidate under q wins under p with probability sum_x 1 / sum_y max(q_y / q_x, p_y / p_x)."""
    for start in starts:
        p, q = laws_at(target, drafter, start)
        won = sum(1.0 / np.maximum(q / q[token], p / p[token]).sum() for token in range(END))
        found = values(start, "race", 2) - 1.0
        assert set(found.tolist()) <= {0.0, 1.0}
        assert abs(found.mean() - won) < ERRORS * np.sqrt(won * (1 - won) / NOISES)


def test_better_rules_get_more_of_the_same_drafts(starts):
    """Block of chains over rejection, traversal of trees over rejection without replacement; plain is 1."""
    for start in starts:
        for rule in SETTINGS.sampled:
            assert values(start, rule.partition(":")[0], 1).tolist() == [1.0] * NOISES
        for better, worse in (("block", "rejection"), ("traversal", "rejection_without_replacement")):
            gain = values(start, better, 4) - values(start, worse, 4)
            assert gain.mean() > -ERRORS * gain.std() / np.sqrt(NOISES)
            assert 1.0 <= values(start, better, 4).min() <= values(start, better, 4).max() <= 4.0


def test_samples_are_recorded_with_the_trace(target, tmp_path):
    settings = TraceSettings(
        node_budgets=(2, 4), growths=("chain",), sampled=("block", "race"), noises=2, lookahead=2, window=2
    )
    prompts = tuple(Prompt(f"toy-{number}", "toy", (f"t{number} t2",)) for number in range(2))
    run_profile(target, prompts, ProfileSettings(max_tokens=6), tmp_path / "texts")
    trace = run_trace(target, (ComparedDrafter("layer_skip", layers=1),), settings, tmp_path)
    for start in trace.starts:
        sampled = start.drafters["layer_skip"].sampled
        assert [(value.rule, value.tree, value.node_budget, value.noise) for value in sampled] == [
            (rule, "chain", budget, noise)
            for rule in ("block", "race")
            for budget in (2, 3)
            for noise in (0, 1)
        ]
    first = [start.drafters["layer_skip"].sampled for start in trace.starts]
    (tmp_path / "text-0000.parquet").unlink()
    again = run_trace(target, (ComparedDrafter("layer_skip", layers=1),), settings, tmp_path)
    assert [start.drafters["layer_skip"].sampled for start in again.starts] == first
    assert [start.drafters["layer_skip"].sampled for start in read_trace(tmp_path).starts] == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("greedy", "with one of the rules rejection"),
        ("block:best_first", "expected a fixed shape"),
        ("race:bush", "no draft tree is called 'bush'"),
    ],
)
def test_drafts_that_cannot_be(text, message):
    with pytest.raises(InvalidInput, match=message):
        read_sampled(text)


def test_greedy_text_leaves_nothing_to_sample(target, tmp_path):
    greedy = ProfileSettings(max_tokens=4, sampling=SamplingSettings(temperature=0.0))
    run_profile(target, (Prompt("toy-0", "toy", ("t0",)),), greedy, tmp_path / "texts")
    with pytest.raises(InvalidInput, match="temperature above 0"):
        run_trace(target, (), TraceSettings((4,), sampled=("block",)), tmp_path)
