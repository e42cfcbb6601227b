"""The limits test on toys: its parts by hand, and the whole chain from question files to tables."""

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest

from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.experiments.limits.claims import claim_of_cell, coverage, cut_at, dual_values, pooled_claim
from speclight.experiments.limits.data import LimitsTestSettings
from speclight.experiments.limits.run import run_limits_test
from speclight.experiments.question_files import read_question_files
from speclight.measure.paired_contexts import PairedContext
from speclight.report.limits import draw, markdown
from speclight.theory.laws.sampled_text import SampledText
from toys import tiny_target

ROUNDING_ATOL = 1e-12
SETTINGS = LimitsTestSettings(
    temperatures=(1.0,),
    node_budgets=(4, 8),
    max_tokens=24,
    contexts=60,
    searched_nodes=32,
    continuations=16,
    splits=40,
    decode_texts=24,
    decode_budgets=(8,),
    decode_tokens=16,
)


def questions(path, count):
    lines = [{"question_id": i, "category": f"c{i % 3}", "turns": [f"t{i % 4}"]} for i in range(count)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def uniform_context(prompt: str, depth: int, continuations: int = 4) -> PairedContext:
    """A target of two equally likely tokens: the full binary tree of that depth."""
    depths = np.repeat(np.arange(depth + 1), 2 ** np.arange(depth + 1))
    sums = tuple(np.arange(1, depth + 2) * log(2.0) for _ in range(continuations))
    return PairedContext(prompt, 0, -depths * log(2.0), depths, sums, np.array([2.0, 2.9]))


def test_a_uniform_target_has_no_error_of_any_kind():
    """P = 3 and 7 hold exactly 1 and 2 levels: E[X] = 2 and 3, and every context is alike."""
    contexts = [uniform_context(f"p{i}", 2) for i in range(4)]
    for place, best in enumerate((2.0, 3.0)):
        values = dual_values(contexts, (3, 7), place)
        np.testing.assert_allclose(values.best, best)
        np.testing.assert_allclose(values.exact, best, rtol=0.02)  # the level is found on a grid
        np.testing.assert_allclose(values.estimated, values.exact, atol=ROUNDING_ATOL)
        claim = claim_of_cell("toy", 1.0, 7, contexts, values)
        assert claim.estimator.value == pytest.approx(0.0, abs=ROUNDING_ATOL)
        assert -ROUNDING_ATOL <= claim.jensen.value < 0.02
        assert claim.seen.value == pytest.approx([2.0, 2.9][place] / best)


def test_jensens_gap_and_the_estimators_error_are_told_apart():
    """Certain contexts beside hard ones: one level for both is worth more than their optima, exactly; and
    continuations that count one level too many are an error of the estimator alone."""
    certain = PairedContext("c", 0, np.zeros(7), np.arange(7), (np.zeros(6), np.zeros(6)), np.array([7.0]))
    hard = replace(uniform_context("h", 2), seen=np.array([3.0]))
    contexts = [certain, hard]
    values = dual_values(contexts, (7,), 0)
    np.testing.assert_allclose(values.best, [7.0, 3.0])
    assert values.exact.mean() >= values.best.mean() - ROUNDING_ATOL
    np.testing.assert_allclose(values.estimated, values.exact, atol=ROUNDING_ATOL)
    worse = [certain, replace(hard, sums=tuple(np.append(log(2.0) / 2, sums) for sums in hard.sums))]
    raised = dual_values(worse, (7,), 0)
    np.testing.assert_allclose(raised.best, values.best)
    assert claim_of_cell("toy", 1.0, 7, worse, raised).estimator.value > 0.02
    # Pooled with the same weight for each cell, a prompt's temperatures in one cluster.
    pooled = pooled_claim(7, [("f", contexts, values), ("f", worse, raised)])
    single = [
        claim_of_cell("f", 1.0, 7, *cell).estimator.value for cell in ((contexts, values), (worse, raised))
    ]
    assert pooled.estimator.value == pytest.approx(np.mean(single))
    assert (pooled.estimator.clusters, pooled.contexts) == (2, 4)


def test_halves_that_differ_by_prompts_alone_are_covered_as_often_as_they_say():
    """60 prompts with effects of their own, 300 halvings: 95% of them covered, give or take 4%. With standard
    errors of contexts in place of prompts it would be about 75%."""
    rng = np.random.default_rng(0)
    contexts, best = [], []
    for prompt in range(60):
        effect = rng.normal(3.0, 0.5)
        for _ in range(6):
            contexts.append(uniform_context(f"p{prompt}", 1))
            best.append(effect + rng.normal(0.0, 0.2))
    values = dual_values(contexts, (3, 7), 0)
    values = replace(values, best=np.array(best), exact=np.array(best), estimated=np.array(best))
    categories = {f"p{prompt}": f"c{prompt % 2}" for prompt in range(60)}
    found = coverage(3, [(categories, contexts, values)], 300, seed=1)
    assert found.splits == 300
    assert 0.91 < found.covered <= 0.99


def test_texts_are_cut_as_under_a_length_limit():
    text = SampledText(np.arange(5.0), True, "p", length_limit=30)
    assert (len(cut_at(text, 8)), cut_at(text, 8).ended) == (5, True)
    assert (len(cut_at(text, 5)), cut_at(text, 5).ended) == (5, True)
    assert (len(cut_at(text, 4)), cut_at(text, 4).ended) == (4, False)


def test_question_files_become_families_that_know_their_categories(tmp_path):
    path = questions(tmp_path / "mixed.jsonl", 9)
    (family,) = read_question_files((path,), 7)
    assert (family.name, len(family.prompts)) == ("mixed", 7)
    assert {prompt.family for prompt in family.prompts} == {"mixed"}
    assert sorted(set(family.categories.values())) == ["c0", "c1", "c2"]
    with pytest.raises(InvalidInput, match="rename one"):
        read_question_files((path, path), 4)
    with pytest.raises(InvalidInput, match="sample longer texts"):
        LimitsTestSettings(max_tokens=30)
    with pytest.raises(InvalidInput, match="decode_tokens"):
        LimitsTestSettings(decode_tokens=20)
    with pytest.raises(InvalidInput, match="searched_nodes"):
        LimitsTestSettings(searched_nodes=20)
    with pytest.raises(InvalidInput, match="above 0"):
        LimitsTestSettings(temperatures=(0.0,))


def test_a_small_run_is_made_shown_and_read_again(tmp_path):
    """Its numbers are held against theory in the test below."""
    target = tiny_target(vocabulary_size=6, seed=3, window=128, layers=1)
    families = read_question_files((questions(tmp_path / "toys.jsonl", 4),), 80)
    small = replace(
        SETTINGS, max_tokens=16, contexts=8, continuations=4, splits=4, decode_texts=4, decode_tokens=8
    )
    result = run_limits_test(target, families, small, tmp_path / "out")
    assert (result.sizes[0].prompts, result.sizes[0].contexts) == (4, 8)
    assert [decode.texts for decode in result.decodes] == [4]
    assert run_limits_test(target, families, small, tmp_path / "out") == result
    assert "| all | 8 |" in markdown(result)
    assert "theorem_1" in draw(result, tmp_path / "figure.svg").read_text()


@pytest.mark.slow
def test_the_whole_chain_on_a_toy(tmp_path):
    """The estimator is right within 4 standard errors, seen trees and Jensen lie on their sides, decode bound
    and walk near the oracle decode (false alarm below 1e-3 in all, seed fixed); a second run reads only."""
    target = tiny_target(vocabulary_size=6, seed=3, window=128, layers=1)
    families = read_question_files((questions(tmp_path / "toys.jsonl", 24),), 80)
    result = run_limits_test(target, families, SETTINGS, tmp_path / "out")
    assert (result.sizes[0].prompts, result.sizes[0].contexts) == (24, 60)
    for claim in (*result.cells, *result.pooled):
        assert claim.estimator.standard_error is not None
        assert abs(claim.estimator.value) < 4 * claim.estimator.standard_error
        assert claim.estimator.standard_error < 0.05
        assert -ROUNDING_ATOL <= claim.jensen.value < 0.3
        assert 0.7 < claim.seen.value <= 1.0 + ROUNDING_ATOL
    (decode,) = result.decodes
    assert decode.texts == 24
    assert decode.bound.standard_error is not None
    assert decode.bound.value > 1 - 4 * decode.bound.standard_error
    assert decode.walk.value == pytest.approx(1.0, abs=0.25)
    ratios = {(item.method, item.node_budget): item.ratio for item in result.methods}
    assert ratios["theorem_1", 4] > ratios["ergodic_renewal", 4] > 0.9
    again = run_limits_test(target, families, SETTINGS, tmp_path / "out")
    assert again == result
    tables = markdown(result)
    assert "| all | 8 |" in tables
    assert "prompts (first turns)" in tables
    assert "| toys, 1.0 | 8 | 24 |" in tables
    assert "theorem_1" in draw(result, tmp_path / "figure.svg").read_text()


def test_bad_input_of_the_command_exits_2(tmp_path, capsys):
    assert main(["experiment", "limits-test", "--questions", str(tmp_path)]) == 2
    assert ".jsonl" in capsys.readouterr().err
