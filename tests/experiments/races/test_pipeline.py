"""From a toy target to tables and figure: texts, rank laws, drafted trees, invariance, resuming."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from speclight.drafting.count_law import count_law
from speclight.errors import InvalidInput, StorageError
from speclight.experiments.races.comparison import (
    RaceExperimentSettings,
    run_race_experiment,
)
from speclight.experiments.races.laws import laws_along, race_drafter
from speclight.experiments.races.run import ANY_RULE, DRAFTED
from speclight.experiments.races.texts import RaceTextSettings, sample_race_texts
from speclight.experiments.races.tree_comparison import TREE_DRAFTED
from speclight.measure.prompts import Prompt
from speclight.report.races import comparison_figure, draw, markdown
from speclight.trees.draft_tree import DraftTree, SampledChildren
from speclight.verification.expectation import expected_tokens
from speclight.verification.noise import NoiseShape, uniform_noise
from speclight.verification.rules import rule_named
from tabular import TabularPair
from toy_heads import TARGET_IDS, write_head
from toys import as_target, law_after, tiny_llama, tiny_target

VOCABULARY = 12
NAMES = ("layer_skip", "ngram", "model", "eagle3")
SETTINGS = RaceExperimentSettings(
    RaceTextSettings(texts=2, tokens=14, temperatures=(1.0,)),
    tree_starts=2,
    tree_seeds=2,
    invariance_prompts=1,
    invariance_tokens=6,
    node_budgets=(4,),
)
PROMPTS = tuple(Prompt(f"p{number}", "toy", (f"t{number} t2",)) for number in range(3))
# The head computes in float32.
FLOAT32_ATOL = 1e-5
# Above their limit rules may be by the tolerances of the quantities compared (1e-3 for rank laws).
LIMIT_ATOL = 2e-3


def chat_target():
    target = as_target(tiny_llama(VOCABULARY, seed=2, layers=6))
    target.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    return target


def drafters_of(target, folder, names=NAMES):
    weights = {"model": tiny_target(VOCABULARY, seed=9, layers=1), "eagle3": folder / "head"}
    return [race_drafter(name, target, layers=3, weights=weights.get(name)) for name in names]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    target = chat_target()
    write_head(folder / "head", "SpecForge")
    result = run_race_experiment(target, drafters_of(target, folder), PROMPTS, SETTINGS, folder / "out")
    return target, folder, result


def test_laws_along_a_text_are_those_after_its_tokens(ran):
    target, folder, _ = ran
    text = sample_race_texts(target, PROMPTS, SETTINGS.texts, folder / "out" / "texts")[1]
    assert len(text.token_ids) == 14
    other = tiny_target(VOCABULARY, seed=9, layers=1)
    for drafter in drafters_of(target, folder):
        before = list(text.prompt_token_ids)
        for pair in laws_along(target, drafter, text):
            np.testing.assert_allclose(pair.target, law_after(target, before), rtol=0, atol=FLOAT32_ATOL)
            assert abs(pair.drafter.sum() - 1.0) < FLOAT32_ATOL
            if drafter.name == "model":
                np.testing.assert_allclose(pair.drafter, law_after(other, before), atol=FLOAT32_ATOL)
            if drafter.name == "ngram":
                np.testing.assert_allclose(pair.drafter, count_law(before, VOCABULARY), atol=FLOAT32_ATOL)
            if drafter.name == "eagle3":
                assert set(np.flatnonzero(pair.drafter)) == set(TARGET_IDS)
            before.append(pair.token)


def test_a_finished_run_is_not_made_again(ran, monkeypatch):
    target, folder, result = ran
    drafters = drafters_of(target, folder)
    monkeypatch.setattr(target, "forward", None)  # any pass would fail
    assert run_race_experiment(target, drafters, PROMPTS, SETTINGS, folder / "out") == result


def test_ranks_of_another_drafter_are_not_mixed_in(ran):
    target, folder, _ = ran
    other = race_drafter("layer_skip", target, layers=4)
    with pytest.raises(StorageError, match="another plan"):
        run_race_experiment(target, [other], PROMPTS, SETTINGS, folder / "out")


@pytest.mark.parametrize(("name", "message"), [("lookahead", "no law to race with"), ("model", "weights")])
def test_drafters_without_a_law_are_refused(name, message):
    with pytest.raises(InvalidInput, match=message):
        race_drafter(name, chat_target())


def test_texts_that_cannot_be_had_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="only 1 of 1 prompts"):
        run_race_experiment(chat_target(), [], PROMPTS[:1], SETTINGS, tmp_path / "out")


def value(comparison, drafter, rule, strategy, drafted):
    return comparison.row(drafter, 1.0, rule, strategy, drafted).tokens_per_call.value


@pytest.mark.parametrize("drafter", ["layer_skip", "ngram", "model"])
def test_the_rules_keep_to_their_order(ran, drafter):
    """What holds text by text, so for every mean."""
    comparison = ran[2].comparison
    assert comparison.above_coupling_bound == ()
    for k in DRAFTED:
        of = {
            (rule, strategy): value(comparison, drafter, rule, strategy, k)
            for rule, strategy in (
                ("rejection", "sequence"),
                ("block", "sequence"),
                ("race", "batch"),
                ("race_with_replacement", "batch"),
            )
        }
        assert of["block", "sequence"] >= of["rejection", "sequence"] - LIMIT_ATOL
        assert value(comparison, drafter, ANY_RULE, "sequence", k) >= of["block", "sequence"] - LIMIT_ATOL
        assert of["race", "batch"] >= of["race_with_replacement", "batch"] - LIMIT_ATOL
    assert value(comparison, drafter, "race", "batch", 16) == pytest.approx(2.0, abs=LIMIT_ATOL)  # all tokens
    for rule in ("rejection", "race", "race_with_replacement", "rejection_without_replacement"):
        simple = {value(comparison, drafter, rule, strategy, 1) for strategy in ("sequence", "batch")}
        assert max(simple) - min(simple) < LIMIT_ATOL


def test_a_head_is_compared_one_level_deep_and_never_beyond_its_vocabulary(ran):
    comparison = ran[2].comparison
    assert {row.strategy for row in comparison.rows if row.drafter == "eagle3"} == {"batch"}
    head = next(group for group in comparison.accounting if group.drafter == "eagle3")
    assert head.missing > 0.0
    assert head.divergence == float("inf")
    assert value(comparison, "eagle3", "race", "batch", 32) <= 2.0 - head.missing + LIMIT_ATOL


def test_accounting_counts_every_context(ran):
    for group in ran[2].comparison.accounting:
        assert group.contexts == group.sampled.samples == 28
        assert group.conditional_entropy <= group.pooled_entropy + LIMIT_ATOL
        assert 0.0 < group.match < 1.0
        assert (np.diff(group.bound_pooled) >= 0.0).all()
        assert group.independent[0] == pytest.approx(group.along_texts[0], abs=0.2)  # two texts, 24 starts


def test_differences_are_those_of_the_means(ran):
    comparison = ran[2].comparison
    for row in comparison.rows:
        race = value(comparison, row.drafter, "race", row.strategy, row.drafted)
        if row.race_minus is not None:
            assert row.race_minus.value == pytest.approx(race - row.tokens_per_call.value, abs=1e-12)
        else:
            assert row.rule == "race" or "transport" in row.rule


def test_drafted_trees_are_compared_at_the_same_contexts(ran):
    trees = ran[2].trees
    assert len(trees) == 4 * 4 * len(TREE_DRAFTED)
    for row in trees:
        assert (row.contexts, row.seeds) == (4, 2)
        assert 1.0 <= row.tokens_per_call.value <= row.drafted + 1
        assert (row.minus_race is None) == ((row.rule, row.tree) == ("race", "rank"))
        assert (row.minus_rejection is not None) == (row.rule == "traversal")


def test_one_text_for_every_drafter(ran):
    rows = ran[2].invariance
    assert {row.drafter for row in rows} == {"random", "ngram, most probable tokens", *NAMES}
    for row in rows:
        assert (row.texts, row.tokens, row.identical, row.other) == (1, 6, 1, 0)  # float64: no near ties


def test_expected_tokens_are_the_mean_over_coins():
    """2,000 verdicts of each rule: 5 standard errors of a number between 1 and 3, false alarm 1e-6."""
    pair = TabularPair(1, ("unrelated",))
    laws = {0: pair.target(()), 1: pair.target((0,)), 2: pair.target((2,)), 3: pair.target((0, 1))}
    first, second = pair.drafter(()), pair.drafter((0,))
    tree = DraftTree(
        np.array([0, 0, 2, 1]),
        np.array([-1, 0, 0, 1]),
        np.log(np.array([1.0, first[0], first[2], second[1]])),
        "without_replacement",
        (SampledChildren(first, np.array([1, 2])), SampledChildren(second, np.array([3])), None, None),
    )
    rng = np.random.default_rng(4)
    for name in ("rejection_without_replacement", "traversal"):
        rule = rule_named(name)
        lengths = [
            len(rule.verify(tree, laws.__getitem__, uniform_noise(rng, NoiseShape(3, 4))).path)
            for _ in range(2_000)
        ]
        error = np.std(lengths) / np.sqrt(len(lengths))
        assert error > 0.0
        expected = expected_tokens(rule, tree, laws.__getitem__)
        assert expected is not None
        assert abs(np.mean(lengths) - expected) < 5.0 * error


def test_tables_and_figure_hold_every_rule(ran, tmp_path):
    text = markdown(ran[2])
    assert text.startswith("Every text answers the first turn of a prompt")
    for rule in ("block", "gls", "k_seq", "transport, distinct", "bound, H[R] pooled", "traversal", "random"):
        assert f"| {rule} |" in text
    assert draw(ran[2].comparison, tmp_path / "race.svg").read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(KeyError):
        ran[2].comparison.row("ngram", 0.5, "race", "tree", 1)


def test_the_bound_does_not_squeeze_the_rules(ran):
    """It is several times what any rule emits: the rules set the scale, the bound leaves through the top."""
    comparison = ran[2].comparison

    def figure(bound: float) -> Figure:
        groups = [
            replace(group, bound_conditional=(bound,) * len(DRAFTED)) for group in comparison.accounting
        ]
        return comparison_figure(replace(comparison, accounting=tuple(groups)))

    low, high = figure(1.3), figure(92.0)
    scales = [[axes.get_ylim() for axes in drawn.axes] for drawn in (low, high)]
    assert scales[0] == scales[1]
    assert max(top for _, top in scales[1]) < 92.0
    notes = [[text.get_text() for axes in drawn.axes for text in axes.texts] for drawn in (low, high)]
    assert notes == [[], ["bound: 92.0 at k = 32"] * len(comparison.accounting)]
    (legend,) = high.legends
    looks = {(line.get_color(), line.get_linestyle()) for line in legend.get_lines()}
    assert len(looks) == len(legend.get_texts())
