"""The paper's experiments on toys: their parts by hand, and the whole chain from question files to claims."""

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest

from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.errors import InvalidInput
from speclight.experiments.papers.claims import Verdict, judged_claims
from speclight.experiments.papers.figure_1 import READINGS, DrafterPoint, line_fits
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.question_files import read_data_sets
from speclight.experiments.papers.run import reproduce
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.table_1 import measured_moments
from speclight.experiments.papers.texts import Answers
from speclight.measure.estimates import Estimate
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.report.paper_figures import draw_figure_1, draw_figure_2
from speclight.report.papers import reproduced_markdown
from toys import tiny_target

SETTINGS = PapersSettings(temperatures=(1.0, 0.5), max_tokens=24, node_budgets=(2, 4, 8), every=3, contexts=6)
ROUNDING_ATOL = 1e-12


def questions(path, count, turns=1):
    lines = [
        {"question_id": i, "category": f"c{i % 3}", "turns": [f"t{i % 4}"] * turns} for i in range(count)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def exact(value):
    return Estimate(value, 0.0, value, value, 5)


def point(drafter, data, reading, measured):
    return DrafterPoint(
        data, 1.0, drafter, 60, exact(measured), dict.fromkeys(READINGS, reading), (0.1,), (1.0,), exact(2.0)
    )


def answers_of(surprisals):
    """Texts whose sampled tokens have these surprisals, and whose laws are known to have entropy ln 2."""
    texts = tuple(
        ProfiledText(
            f"p{number}",
            "toy",
            0,
            (1,),
            tuple(range(len(values))),
            -np.array(values),
            np.full(len(values), log(2.0)),
            np.full(len(values), log(2.0) ** 2),
            False,
        )
        for number, values in enumerate(surprisals)
    )
    return Answers("toy", 1.0, Profile(ProfileSettings(), texts, {}), "toy-t1")


def test_moments_are_means_of_laws_and_neighbours_are_told_apart():
    """A coin target has mu = ln 2, mu2 = ln² 2; alternating surprisals correlate by -1, blocks by 29/31."""
    (row,) = measured_moments("coin", [answers_of([[0.1, 1.3] * 8, [1.3, 0.1] * 8])])
    assert row.mu.value == pytest.approx(log(2.0))
    assert row.mu2.value == pytest.approx(log(2.0) ** 2)
    assert row.limits["limit"] == pytest.approx(log(60) / log(2.0))
    assert row.neighbours.value == pytest.approx(-1.0)
    (row,) = measured_moments("coin", [answers_of([[0.1] * 16 + [1.3] * 16, [1.3] * 16 + [0.1] * 16])])
    assert row.neighbours.value == pytest.approx(29 / 31)  # 30 neighbours agree, one does not


def test_a_line_is_found_and_a_cloud_is_not():
    """Measured = 0.5 + 2 lemma exactly: R² = 1 in every resample; unrelated numbers: far below."""
    on_line = [
        point(d, f"data {j}", r, 0.5 + 2 * r)
        for d, base in (("a", 1.0), ("b", 1.7), ("c", 2.9))
        for j, r in enumerate((base, base + 0.2, base + 0.5))
    ]
    (fit, *_) = line_fits(on_line)
    assert (fit.slope, fit.intercept, fit.r_squared) == pytest.approx((2.0, 0.5, 1.0))
    assert fit.low == pytest.approx(1.0)
    assert fit.points == 9
    assert fit.mean_gap == pytest.approx(
        np.mean([p.measured.value - p.readings[READINGS[0]] for p in on_line])
    )
    rng = np.random.default_rng(0)
    cloud = [replace(p, measured=exact(float(rng.random()))) for p in on_line]
    fit = line_fits(cloud)[0]
    assert fit.high is not None
    assert fit.r_squared < 0.5
    claims = {claim.claim: claim.verdict for claim in judged_claims([], line_fits(on_line)[:1], [])}
    assert claims["Tokens per call are near linear in Lemma 7, a constant below it missing."] == "confirmed"
    assert line_fits(on_line[:1]) == ()


def panel(oracle, theorem_1, measured):
    budgets = (2, 8, 32)
    return BudgetPanel(
        "toy", 1.0, budgets, {"theorem_1": theorem_1}, {}, {"d": tuple(map(exact, measured))},
        tuple(map(exact, oracle)), (),
    )  # fmt: skip


def test_claims_follow_their_rules():
    """Logarithmic growth, a loose Theorem 1 and a gap made of the drafter; then their opposites."""
    log_growth = [1 + log(2), 1 + log(8), 1 + log(32)]
    claims = judged_claims([], [], [panel(log_growth, (9.0, 9.0, 9.0), (1.0, 1.1, 1.2))])
    growth, larger, linear, gap, close, independent = (claim.verdict for claim in claims)
    assert growth is Verdict.CONFIRMED
    assert larger is linear is independent is Verdict.OUT_OF_REACH
    assert gap is Verdict.CONFIRMED
    assert close is Verdict.REFUTED
    square = [2.0**2, 8.0**2, 32.0**2]
    claims = judged_claims([], [], [panel(square, (1e4, 1e4, 1.1 * 32**2), (4.0, 64.0, 1000.0))])
    growth, _, _, gap, close, _ = (claim.verdict for claim in claims)
    assert growth is Verdict.REFUTED
    assert gap is Verdict.REFUTED
    assert close is Verdict.CONFIRMED


def test_from_question_files_to_tables_and_figures(tmp_path):
    files = (questions(tmp_path / "gsm8k.jsonl", 6), questions(tmp_path / "own.jsonl", 5, turns=2))
    data = read_data_sets(files, 4)
    assert [(each.name, len(each.prompts)) for each in data] == [("GSM8K", 4), ("own", 4)]
    drafters = [ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1)]
    target = tiny_target()
    found = reproduce(target, "all", data, drafters, SETTINGS, tmp_path / "out")
    assert [(row.data, row.temperature) for row in found.moments] == [
        (name, t) for t in (1.0, 0.5) for name in ("GSM8K", "own")
    ]
    assert {p.drafter for p in found.points} == {"ngram", "layer_skip"}
    assert len(found.points) == 8
    for each in found.panels:
        assert each.oracle is not None
        for place, best in enumerate(each.oracle):
            assert best.value <= each.node_budgets[place]
        assert list(each.measured) == ["ngram", "layer_skip"]
    tables = reproduced_markdown(found)
    assert "**Figure 2, own, T = 0.5**" in tables
    assert "published: Llama-3.1-8B" in tables
    assert draw_figure_1(found.points, found.fits, tmp_path / "1.svg").stat().st_size > 1000
    assert draw_figure_2(found.panels, tmp_path / "2.svg").stat().st_size > 1000
    # Everything is read again from the records.
    again = reproduce(target, "table-1", data, (), SETTINGS, tmp_path / "out")
    assert again.moments == found.moments
    assert not again.points
    assert not again.claims


def test_bad_input_is_told_before_a_model_is_loaded(tmp_path, capsys):
    assert main(["reproduce", "table-1"]) == 2
    assert "--questions FILE" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="two question files are called gsm8k"):
        read_data_sets((questions(tmp_path / "gsm8k.jsonl", 1),) * 2, 1)
    with pytest.raises(InvalidInput, match="rising"):
        PapersSettings(node_budgets=(8, 4))
