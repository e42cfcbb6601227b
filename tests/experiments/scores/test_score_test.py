"""Scores beside decodes, on a toy: right ones lie inside their intervals, wrong ones are found out."""

from dataclasses import replace

import numpy as np
import pytest

from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.errors import InvalidInput
from speclight.experiments.scores.run import run_score_test
from speclight.experiments.scores.settings import ScoreTestSettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.sampling import SamplingSettings
from speclight.report.score_test import score_test_markdown
from toy_heads import VOCABULARY as HEAD_VOCABULARY
from toy_heads import write_head
from toys import tiny_target

PROMPTS = tuple(
    Prompt(f"p{n}", "toy", (" ".join(f"t{(n * 7 + k) % 5}" for k in range(2 + n % 3)),)) for n in range(24)
)
GROWTHS = ("best_first", "chain")
DRAFTERS = {"ngram": ComparedDrafter("ngram"), "layer_skip": ComparedDrafter("layer_skip", layers=1)}
SETTINGS = ScoreTestSettings(configurations=4, node_budgets=(2, 4, 8))
RULES = ("target_sample", "rejection", "race", "block", "traversal")


@pytest.fixture(scope="module")
def target():
    return tiny_target(6, seed=1, end_of_text=frozenset(), window=256)


def traced(target, prompts, folder):
    sampled = ProfileSettings(max_tokens=20, batch_size=24, sampling=SamplingSettings(0.7))
    run_profile(target, prompts, sampled, folder / "texts")
    settings = TraceSettings(node_budgets=(2, 8), growths=GROWTHS, window=8, lookahead=4)
    return run_trace(target, tuple(DRAFTERS.values()), settings, folder)


@pytest.fixture(scope="module")
def trace(target, tmp_path_factory):
    return traced(target, PROMPTS, tmp_path_factory.mktemp("trace"))


@pytest.fixture(scope="module")
def small_trace(target, tmp_path_factory):
    return traced(target, PROMPTS[:4], tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Decodes are made once: they do not depend on what a trace says of them."""
    return tmp_path_factory.mktemp("decodes") / "out"


def test_decodes_are_made_once_and_shown_beside_scores(target, small_trace, tmp_path):
    """How near they are to each other is for the tests below."""
    few = replace(SETTINGS, configurations=3, rules=RULES)
    found = run_score_test(target, small_trace, DRAFTERS, few, tmp_path / "out")
    for each in found.decodes:
        assert each.difference.value == pytest.approx(each.measured.value - each.predicted.value)
        assert 1.0 <= each.measured.value <= each.configuration.node_budget
    assert len({each.configuration.rule for each in found.decodes}) > 1
    assert f"{found.outside} of 3 predictions" in score_test_markdown(found)
    assert run_score_test(target, small_trace, DRAFTERS, few, tmp_path / "out") == found


def test_rules_that_decode_the_same_texts_are_not_counted_twice(target, small_trace, tmp_path):
    """With a single node drafted, rejection and traversal toss the same coin for it."""
    settings = ScoreTestSettings(configurations=4, node_budgets=(2,), rules=("rejection", "traversal"))
    found = run_score_test(target, small_trace, DRAFTERS, settings, tmp_path / "out")
    assert len({each.configuration for each in found.decodes}) == 4
    assert {each.alike for each in found.decodes} == {("chain",)}
    assert found.distinct == 2
    assert "best_first and 1 alike" in score_test_markdown(found)
    assert "2 of the 4 decodes differ" in score_test_markdown(found)


def test_greedy_decodes_get_exactly_what_a_trace_of_all_their_starts_says(tmp_path):
    """The texts are the trace's own there: every tree, where every call starts and what it emits must agree.

    When the first half of every window was left out, predictions missed by 0.004 to 0.35. The
    head's weights are random.
    """
    target = tiny_target(HEAD_VOCABULARY, seed=1, end_of_text=frozenset({5}), window=256, layers=6)
    head = ComparedDrafter("eagle3", str(write_head(tmp_path / "head", "SafeAILab")))
    greedy = ProfileSettings(max_tokens=24, batch_size=24, sampling=SamplingSettings(0.0))
    run_profile(target, PROMPTS[:8], greedy, tmp_path / "trace" / "texts")
    settings = TraceSettings((2, 8), GROWTHS, window=8, windows_per_family=999, lookahead=7)
    trace = run_trace(target, (*DRAFTERS.values(), head), settings, tmp_path / "trace")
    assert any(text.ended for text in trace.profile.texts)
    drafters = dict(zip(trace.drafters, (*DRAFTERS.values(), head), strict=True))
    found = run_score_test(target, trace, drafters, replace(SETTINGS, configurations=9), tmp_path / "out")
    assert {each.configuration.drafter for each in found.decodes} == set(trace.drafters)
    for each in found.decodes:
        assert each.measured.value > 1.0
        assert each.predicted.value == pytest.approx(each.measured.value, rel=1e-12)


@pytest.mark.slow
def test_decodes_get_what_scores_say(target, trace, out):
    """4 configurations, 24 texts, fixed seed. False alarm, two or more outside of 95% intervals: 1.4%."""
    found = run_score_test(target, trace, DRAFTERS, SETTINGS, out)
    assert {each.configuration.drafter for each in found.decodes} == {"ngram", "layer_skip"}
    assert {each.configuration.growth for each in found.decodes} == set(GROWTHS)
    assert found.outside <= 1


@pytest.mark.slow
def test_every_lossless_rule_gets_what_one_score_says(target, trace, tmp_path):
    """5 configurations, 24 texts, fixed seed. False alarm, three or more outside of 95% intervals: 1e-3."""
    settings = replace(SETTINGS, configurations=5, rules=RULES)
    found = run_score_test(target, trace, DRAFTERS, settings, tmp_path / "out")
    assert len({each.configuration.rule for each in found.decodes}) >= 3
    for each in found.decodes:
        assert each.configuration.growth == "chain" or each.configuration.rule != "block"
    assert found.outside <= 2
    assert run_score_test(target, trace, DRAFTERS, settings, tmp_path / "out") == found


@pytest.mark.parametrize("rules", [("typical",), ("k_seq",), ("block",), ("law",)])
def test_rules_that_no_score_is_of(target, small_trace, tmp_path, rules):
    with pytest.raises(InvalidInput):
        run_score_test(target, small_trace, DRAFTERS, replace(SETTINGS, rules=rules), tmp_path)


@pytest.mark.slow
def test_wrong_scores_lie_outside(target, trace, out):
    """Drafted nodes said to be accepted half as often. Power: at P = 8 the prediction falls by several of its
    standard errors."""
    halved = tuple(
        replace(
            start,
            drafters={
                name: replace(
                    drafter,
                    tree=replace(
                        drafter.tree,
                        target_log_probs=drafter.tree.target_log_probs
                        - np.where(drafter.tree.parents >= 0, np.log(2.0), 0.0),
                    ),
                )
                for name, drafter in start.drafters.items()
            },
        )
        for start in trace.starts
    )
    wrong = replace(trace, starts=halved)
    found = run_score_test(target, wrong, DRAFTERS, SETTINGS, out)
    assert found.outside >= 2
    assert all(each.difference.value > 0.0 for each in found.decodes)


def test_another_target_is_refused(small_trace, tmp_path):
    other = tiny_target(6, seed=2, end_of_text=frozenset(), window=256)
    wrong = replace(small_trace, weights_sha256="0" * 64)
    with pytest.raises(InvalidInput, match="load the target that was traced"):
        run_score_test(other, wrong, DRAFTERS, SETTINGS, tmp_path)


def test_a_folder_without_a_trace_is_told_at_once(tmp_path, capsys):
    assert main(["experiment", "score-test", str(tmp_path / "nowhere")]) == 2
    assert "plan.json" in capsys.readouterr().err
