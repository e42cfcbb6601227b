"""Trees against each other: values against plain passes, the theorem at every context, resuming, tables."""

from dataclasses import replace

import numpy as np
import pytest

from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.growth_start import growth_start
from speclight.drafting.layer_skip import early_exit
from speclight.drafting.tree_choices import Batch, BestFirst, Chain, Eagle2, Static
from speclight.errors import InvalidInput
from speclight.experiments.trees.run import TREES, DrafterTrees, TreeSettings, run_tree_comparison
from speclight.experiments.trees.summary import SUM_ATOL, summarise_trees
from speclight.measure.profile import read_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.record import read_trace
from speclight.report.trees import draw, markdown
from speclight.trees.growing_tree import CandidateLaw, grown
from toys import law_after, laws_along, tiny_target

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
    max_tokens=12,
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


def test_values_are_those_of_plain_passes(target, comparison):
    """Each tree is grown once more, by plain passes of drafter and target."""
    folder, (_, compared) = comparison
    drafter, texts = early_exit(target, 1), read_profile(folder / "texts").texts
    tokens = {text.prompt_id: text for text in texts}
    starts = {
        tree: growth_start(choice, target)
        for tree, choice in zip(
            TREES, (BestFirst(), Eagle2(), Static(compared.acceptance), Chain(), Batch()), strict=True
        )
    }
    for value in compared.values[::7]:
        text = tokens[value.prompt_id]
        before = [*text.prompt_token_ids, *text.token_ids[: value.start]]

        def laws(known, nodes, before=before):
            rows = [law_after(drafter, [*before, *known.token_path(node)]) for node in nodes]
            return [CandidateLaw(np.arange(VOCABULARY), np.log(row)) for row in rows]

        draft = grown(starts[value.tree](before[-1], value.node_budget, SeededNoise(0).for_draft()), laws)
        plain = 0.0
        for node in range(len(draft.tree)):
            path = draft.tree.tokens[draft.tree.path(node)[1:]].tolist()
            plain += np.prod(
                [law[token] for law, token in zip(laws_along(target, before, path)[:-1], path, strict=True)]
            )
        assert abs(value.target_tokens - plain) < VALUE_ATOL
        assert abs(value.own_tokens - np.exp(draft.tree.path_log_probs).sum()) < VALUE_ATOL
        assert (value.nodes, value.calls) == (len(draft.tree), draft.cost.calls)
        assert value.expanded_nodes == draft.cost.expanded_nodes


def test_acceptance_is_the_mean_probability_of_each_rank(target, comparison):
    folder, (_, compared) = comparison
    drafter, trace = early_exit(target, 1), read_trace(folder / "layer_skip" / "calibration")
    texts = {text.prompt_id: text for text in trace.profile.texts}
    assert len(trace.starts) == 2 * SETTINGS.calibration_contexts
    plain = np.zeros(VOCABULARY)
    for start in trace.starts:
        text = texts[start.prompt_id]
        before = [*text.prompt_token_ids, *text.token_ids[: start.start]]
        order = np.argsort(-law_after(drafter, before))
        plain += law_after(target, before)[order] / len(trace.starts)
    assert len(compared.acceptance) == max(SETTINGS.node_budgets) - 1
    np.testing.assert_allclose(compared.acceptance[:VOCABULARY], plain, rtol=0, atol=VALUE_ATOL)
    assert set(compared.acceptance[VOCABULARY:]) == {0.0}


def test_under_the_drafters_own_law_no_tree_beats_best_first_at_any_context(comparison):
    """Lemma 1 of arXiv 2512.11718v1."""
    for compared in comparison[1]:
        best = {
            (v.prompt_id, v.start, v.node_budget): v.own_tokens
            for v in compared.values
            if v.tree == "best_first"
        }
        assert len(best) == 2 * 2 * 3 * 3  # families, texts, contexts, budgets
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
