"""The limits test on toys: its parts, its start law, and the whole chain from question files to a table."""

import json
from dataclasses import replace

import numpy as np
import pytest

from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.experiments.limits.cells import Comparison, cut_for_starts, pooled_errors
from speclight.experiments.limits.data import LimitsTestSettings, read_families
from speclight.experiments.limits.run import run_limits_test
from speclight.report.limits import draw, markdown
from speclight.theory.ergodic.start_features import choose_sorter
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean
from speclight.theory.laws.start_law import usable_starts
from toys import tiny_target

# A sum of a few products of float64 numbers of order 1.
ROUNDING_ATOL = 1e-12


def text_of(surprisals, ended=False, limit=None):
    surprisals = np.asarray(surprisals, dtype=float)
    return SampledText(surprisals, ended, "p", features=surprisals[::-1].copy(), length_limit=limit)


def questions(path, count):
    lines = [{"question_id": i, "category": f"c{i % 3}", "turns": [f"t{i % 4}"]} for i in range(count)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@pytest.mark.parametrize("node_budget", [2, 5, 9])
def test_a_cut_text_has_exactly_the_starts_asked_for(node_budget):
    cut = cut_for_starts(text_of(np.arange(30.0)), 12, node_budget)
    assert usable_starts(cut, node_budget) == 12
    ended = cut_for_starts(text_of(np.arange(7.0), ended=True, limit=30), 12, node_budget)
    assert ended.ended
    assert usable_starts(ended, node_budget) == 7
    late = cut_for_starts(text_of(np.arange(29.0), ended=True, limit=30), 12, node_budget)
    assert not late.ended
    assert usable_starts(late, node_budget) == 12


def test_starts_are_sorted_by_what_is_known_before_them():
    texts = [text_of(np.random.default_rng(seed).exponential(size=60)) for seed in range(5)]
    (first, *_) = choose_sorter(texts, "both", 4).sorted_texts(texts)
    entropy_cut = np.quantile(np.concatenate([text.features for text in texts]), 0.5)
    recent = [recent_surprisal_mean(text.surprisals, 16) for text in texts]
    recent_cut = np.quantile(np.concatenate(recent), 0.5)
    expected = 2 * (texts[0].features >= entropy_cut) + (recent[0] >= recent_cut)
    np.testing.assert_array_equal(first.features, expected)
    assert len(choose_sorter(texts, "both", 4).strata) == 4
    assert len(choose_sorter(texts, "entropy", 3).strata) == 3
    assert len(choose_sorter(texts, "recent", 1).strata) == 1


def test_pooled_error_by_hand():
    base = Comparison("a", 1.0, 16, "m", 11.0, 0.0, 10.0, 0.5)
    items = [base, replace(base, node_budget=32, value=12.0), replace(base, family="b", value=9.0)]
    items.append(replace(base, node_budget=4, value=99.0))  # below the budgets pooled
    (pooled,) = pooled_errors(items, (16, 32))
    assert pooled.signed_error == pytest.approx((0.15 - 0.1) / 2, abs=ROUNDING_ATOL)
    spread = np.hypot((0.055 + 0.06) / 2, 0.045) / 2
    assert pooled.standard_error == pytest.approx(spread, abs=ROUNDING_ATOL)
    assert (pooled.cells, pooled.comparisons, pooled.within_two_errors) == (2, 3, 1)


def test_question_files_become_families_split_in_two(tmp_path):
    path = questions(tmp_path / "mixed.jsonl", 9)
    (family,) = read_families((path,), 4)
    assert family.name == "mixed"
    assert {prompt.family for prompt in (*family.trace, *family.oracle)} == {"mixed"}
    assert (len(family.trace), len(family.oracle)) == (4, 5)
    with pytest.raises(InvalidInput, match="9 prompts"):
        read_families((path,), 9)
    with pytest.raises(InvalidInput, match="rename one"):
        read_families((path, path), 4)
    with pytest.raises(InvalidInput, match="sample"):
        LimitsTestSettings(max_tokens=30)


def test_the_whole_chain_on_a_toy(tmp_path):
    """Traces and oracle of one toy target agree: every bound of the real model lies at or above the oracle
    within 4 of its standard errors, in each of 4 comparisons (false alarm below 2e-4, seed fixed)."""
    target = tiny_target(vocabulary_size=6, seed=3, window=128)
    families = read_families((questions(tmp_path / "toys.jsonl", 24),), 12)
    settings = LimitsTestSettings(
        temperatures=(1.0,),
        node_budgets=(4, 8),
        trace_prompts=12,
        trace_tokens=500,
        oracle_contexts=60,
        oracle_round=40,
        max_tokens=24,
        shipped_tokens=24,
        shipped_prompts=3,
        decode_texts=4,
        decode_budgets=(8,),
        decode_starts=12,
    )
    result = run_limits_test(target, families, settings, "entropy", 2, tmp_path / "out")
    assert result.sizes[0].tokens == 24 * 12 * 2  # two rounds, none of which ends
    assert result.sizes[0].oracle_contexts >= 60
    found = {(c.method, c.node_budget): c for c in result.comparisons}
    for name in ("ergodic_renewal", "ergodic_renewal_stratified"):
        for budget in (4, 8):
            item = found[name, budget]
            assert item.ratio > 1 - 4 * item.ratio_error
            assert (
                item.ratio < 1.25 + 4 * item.ratio_error
            )  # a bound that says nothing would be P: 1.6 and more
    assert found["trace_walk", 8].ratio == pytest.approx(1.0, abs=0.25)
    again = run_limits_test(target, families, settings, "entropy", 2, tmp_path / "out")
    assert again.comparisons == result.comparisons
    tables = markdown(result)
    assert "| toys, 1.0 | 576 | 12 |" in tables
    walk = found["trace_walk", 8]
    assert f"| toys, 1.0 |  | {walk.value:.2f} / {walk.truth:.2f} = {walk.ratio:.2f} ±" in tables
    assert "theorem_1" in draw(result, tmp_path / "figure.svg").read_text()


def test_bad_input_of_the_command_exits_2(tmp_path, capsys):
    assert main(["experiment", "limits-test", "--questions", str(tmp_path)]) == 2
    assert ".jsonl" in capsys.readouterr().err
