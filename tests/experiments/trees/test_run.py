"""Trees against each other: values against plain passes, the theorem at every context, resuming, tables."""

from dataclasses import replace

import numpy as np
import pytest

from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.along_text import AlongText, stops_with_target
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import DRAFTERS, LayerSkip, Oracle
from speclight.drafting.drafters import law_source
from speclight.drafting.layer_skip import early_exit
from speclight.errors import InvalidInput
from speclight.experiments.trees.run import (
    TREES,
    DrafterTrees,
    TreeSettings,
    acceptance_vector,
    growth_starts,
    run_tree_comparison,
)
from speclight.experiments.trees.summary import SUM_ATOL, summarise_trees
from speclight.experiments.trees.values import (
    expected_tokens,
    target_path_log_probs,
)
from speclight.measure.profile import ProfiledText
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings
from speclight.report.trees import draw, markdown
from speclight.trees.tree_union import union_of
from toys import law_after, tiny_target

VOCABULARY = 6
PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(f"t{(number + step) % VOCABULARY}" for step in range(4)),))
    for family in ("code", "qa")
    for number in range(3)
)
SETTINGS = TreeSettings(
    node_budgets=(2, 4, 9),
    prompts_per_family=2,
    contexts=3,
    calibration_prompts=1,
    calibration_contexts=5,
    max_tokens=16,
)
COMPARED = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))
# Float64 models; a tree call and plain passes differ by the order of float64 sums.
VALUE_ATOL = 1e-10


@pytest.fixture(scope="module")
def target():
    return tiny_target(VOCABULARY, seed=2)


@pytest.fixture(scope="module")
def comparison(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    return folder, run_tree_comparison(target, PROMPTS, COMPARED, SETTINGS, folder)


def profiled(tokens, prompt=2):
    blank = np.zeros(len(tokens) - prompt)
    given, sampled = tuple(tokens[:prompt]), tuple(tokens[prompt:])
    return ProfiledText("p", "toy", 0, given, sampled, blank, blank, blank, False)


def trees_at(along, target, budgets=(3, 7)):
    """Every kind of tree at one place."""
    noise = SeededNoise(0).for_draft()
    starts = growth_starts(target, (0.5, 0.2, 0.1))
    return [
        along.drafted(starts[tree](along.root, budget, noise)).tree for tree in TREES for budget in budgets
    ]


@pytest.mark.parametrize("name", ["ngram", "layer_skip"])
def test_values_are_those_of_plain_passes_at_every_place(target, name):
    """One call over the union of all trees, after earlier calls at other places, against one pass a path."""
    along = AlongText(law_source(DRAFTERS[name](), target), [0, 1, 2, 0, 1, 3, 0, 1, 2, 4])
    for scored in stops_with_target(target, along, [2, 5, 7]):
        trees = trees_at(along, target)
        union = union_of(trees)
        log_probs = target_path_log_probs(scored, union.tree, SamplingSettings())
        for tree, places in zip(trees, union.places, strict=True):
            plain = 1.0
            for node in range(1, len(tree)):
                path = tree.tokens[tree.path(node)].tolist()
                plain += np.prod(
                    [
                        law_after(target, scored.token_ids + path[1:depth])[path[depth]]
                        for depth in range(1, len(path))
                    ]
                )
            assert abs(expected_tokens(log_probs[places]) - plain) < VALUE_ATOL


def test_a_drafter_that_is_the_target_is_worth_as_much_under_both_laws(target):
    along = AlongText(law_source(Oracle(), target), [0, 1, 2, 0, 1, 3, 5, 1, 2, 4])
    for scored in stops_with_target(target, along, [3, 4, 8]):
        trees = trees_at(along, target)
        union = union_of(trees)
        log_probs = target_path_log_probs(scored, union.tree, SamplingSettings())
        for tree, places in zip(trees, union.places, strict=True):
            assert abs(expected_tokens(log_probs[places]) - expected_tokens(tree.path_log_probs)) < VALUE_ATOL


def test_a_union_holds_each_path_once(target):
    along = AlongText(law_source(Oracle(), target), [0, 1, 2, 0])
    along.stop(3, None)
    trees = trees_at(along, target)
    union = union_of(trees)
    paths = {tuple(tree.tokens[tree.path(node)]) for tree in trees for node in range(len(tree))}
    assert len(union.tree) == len(paths)
    for tree, places in zip(trees, union.places, strict=True):
        for node, place in enumerate(places):
            own, shared = tree.tokens[tree.path(node)], union.tree.tokens[union.tree.path(place)]
            assert np.array_equal(own, shared)


def test_acceptance_is_the_mean_probability_of_each_rank(target):
    source = law_source(LayerSkip(1), target)
    drafter = early_exit(target, 1)
    text = profiled([0, 1, 2, 0, 1, 3, 5])
    settings = replace(SETTINGS, calibration_contexts=5)  # as many as the text has tokens: all places
    rates = acceptance_vector(target, source, [text], settings)
    tokens = [*text.prompt_token_ids, *text.token_ids]
    plain = np.zeros(VOCABULARY)
    for place in range(5):
        before = tokens[: 2 + place]
        order = np.argsort(-law_after(drafter, before))
        plain += law_after(target, before)[order] / 5
    assert len(rates) == max(settings.node_budgets) - 1
    np.testing.assert_allclose(rates[:VOCABULARY], plain, rtol=0, atol=VALUE_ATOL)
    assert (rates[VOCABULARY:] == 0.0).all()


def test_under_the_drafters_own_law_no_tree_beats_best_first_at_any_context(comparison):
    """Lemma 1 of arXiv 2512.11718v1."""
    for compared in comparison[1]:
        best = {
            (v.prompt_id, v.start, v.node_budget): v.own_tokens
            for v in compared.values
            if v.tree == "best_first"
        }
        assert len(best) == 4 * 3 * 3  # texts, contexts, budgets
        assert len(compared.values) == len(best) * len(TREES)
        for value in compared.values:
            assert best[value.prompt_id, value.start, value.node_budget] >= value.own_tokens - SUM_ATOL
            assert 1.0 <= value.target_tokens <= value.nodes <= value.node_budget
        assert summarise_trees(compared).own_violations == 0


def test_a_tree_that_beats_best_first_would_be_counted(comparison):
    compared = comparison[1][1]
    renamed = {"best_first": "chain", "chain": "best_first"}
    swapped = tuple(replace(v, tree=renamed.get(v.tree, v.tree)) for v in compared.values)
    assert summarise_trees(DrafterTrees(compared.drafter, compared.acceptance, swapped)).own_violations > 0


def test_cells_are_means_over_contexts_paired_with_best_first(comparison):
    compared = comparison[1][1]
    summary = summarise_trees(compared)
    assert (summary.contexts, summary.prompts, summary.families) == (12, 4, ("code", "qa"))
    cell = summary.cell("chain", 9)

    def mean(tree):
        return np.mean([v.target_tokens for v in compared.values if (v.tree, v.node_budget) == (tree, 9)])

    assert cell.target_tokens.value == pytest.approx(mean("chain"))
    assert cell.best_first_gain.value == pytest.approx(mean("best_first") - mean("chain"))
    assert cell.best_first_gain.clusters == 4
    assert cell.contexts_above + cell.contexts_below <= 12
    assert summary.cell("chain", 2).mean_nodes == 2.0
    with pytest.raises(KeyError):
        summary.cell("chain", 5)


def test_a_finished_comparison_is_read_and_another_plan_refused(comparison, target, monkeypatch):
    folder, first = comparison
    monkeypatch.setattr(target, "forward", None)  # any pass would fail
    assert run_tree_comparison(target, PROMPTS, COMPARED, SETTINGS, folder) == first


def test_a_lost_text_is_made_again_with_the_same_values(comparison, target):
    folder, first = comparison
    (folder / "layer_skip" / "text-0002.parquet").unlink()
    again = run_tree_comparison(target, PROMPTS, COMPARED[1:], SETTINGS, folder)
    assert again == first[1:]


def test_tables_and_figure_hold_every_tree(comparison, tmp_path):
    summaries = [summarise_trees(compared) for compared in comparison[1]]
    text = markdown(summaries)
    for tree in TREES[1:]:
        assert text.count(f"| {tree} |") == 2 * len(summaries)
    assert "**layer_skip, 1 layers** (12 contexts of 4 texts" in text
    assert draw(summaries, tmp_path / "trees.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_settings_and_prompts_out_of_range_are_refused(target, tmp_path):
    with pytest.raises(InvalidInput, match="rising"):
        TreeSettings(node_budgets=(8, 4))
    with pytest.raises(InvalidInput, match="contexts must be >= 1"):
        TreeSettings(contexts=0)
    with pytest.raises(InvalidInput, match="'code' has 2 prompts, expected 3"):
        run_tree_comparison(target, PROMPTS[:2], COMPARED, SETTINGS, tmp_path)
