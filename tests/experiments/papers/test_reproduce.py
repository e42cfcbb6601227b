"""The paper's experiments on toys: their parts by hand, and the whole chain from question files to claims."""

import json
from dataclasses import asdict, replace
from math import log

import numpy as np
import pytest

from speclight.cli.experiments import reproduce as command
from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.errors import InvalidInput, StorageError
from speclight.experiments.papers.call_times import MeasuredTimes, measured_times
from speclight.experiments.papers.claims import Evidence, Verdict, judged_claims
from speclight.experiments.papers.figure_1 import READINGS, DrafterPoint, line_fits
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.other_targets import TargetMoments, read_target_moments, size_pairs
from speclight.experiments.papers.published import FILE_NAMES
from speclight.experiments.papers.run import reproduce
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.table_1 import measured_moments
from speclight.experiments.papers.texts import Answers
from speclight.experiments.papers.waterfall import SPECULATION, gap_factors
from speclight.experiments.question_files import read_question_files
from speclight.measure.estimates import Estimate
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.report.paper_figures import draw_figure_1, draw_figure_2
from speclight.report.papers import reproduced_markdown
from toys import tiny_target

SETTINGS = PapersSettings(
    temperatures=(1.0, 0.5),
    max_tokens=24,
    node_budgets=(2, 4, 8),
    limit_budgets=(16, 40),
    every=3,
)
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
    fits = line_fits(on_line)
    fit = fits[0]
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
    found = Evidence(fits=fits[:1])
    claims = {claim.claim: claim.verdict for claim in judged_claims(found)}
    assert claims["Tokens per call are near linear in Lemma 7, a constant below it missing."] == "confirmed"
    assert line_fits(on_line[:1]) == ()


def panel(oracle, theorem_1, measured):
    bounds = {
        "theorem_1": theorem_1,
        "two_moments": tuple(0.8 * value for value in theorem_1),
        "limit": (1.0, 2.0, 4.0),
        "renewal": tuple(0.5 * value for value in theorem_1),
        "ergodic_renewal": tuple(0.6 * value for value in theorem_1),
    }
    return BudgetPanel(
        "toy", 1.0, (2, 8, 32), (64,), bounds, {"d": (0.5, 1.0, 2.0, 3.0)},
        {"d": tuple(map(exact, measured))}, tuple(map(exact, oracle)), (),
    )  # fmt: skip


def verdicts(*panels):
    found = judged_claims(Evidence(panels=panels, gaps=gap_factors(panels)))
    return [claim.verdict for claim in found]


def test_claims_follow_their_rules():
    """Logarithmic growth, a loose Theorem 1 and a gap made of the drafter; then their opposites."""
    log_growth = [1 + log(2), 1 + log(8), 1 + log(32)]
    growth, larger, linear, gap, close, constant, free, independent = verdicts(
        panel(log_growth, (9.0, 9.0, 9.0, 9.5), (1.0, 1.1, 1.2))
    )
    assert growth is Verdict.CONFIRMED
    assert larger is linear is constant is free is independent is Verdict.OUT_OF_REACH
    assert gap is Verdict.CONFIRMED
    assert close is Verdict.REFUTED
    square = [2.0**2, 8.0**2, 32.0**2]
    growth, _, _, gap, close, *_ = verdicts(panel(square, (1e4, 1e4, 1.1 * 32**2, 1e4), (4.0, 64.0, 1000.0)))
    assert growth is Verdict.REFUTED
    assert gap is Verdict.REFUTED
    assert close is Verdict.CONFIRMED


def test_the_gap_is_the_product_of_its_factors():
    """Theorem 1 of 9 over a drafter of 1.2: proof 1/0.8, law 1.6, contexts 0.5/0.6, then what is left."""
    (gap,) = gap_factors([panel([1.5, 2.0, 3.0], (9.0, 9.0, 9.0, 9.5), (1.0, 1.1, 1.2))])
    assert gap.whole == pytest.approx(9.0 / 1.2) == np.prod(list(gap.factors.values()))
    assert list(gap.factors.values()) == pytest.approx([1 / 0.8, 1.6, 0.5 / 0.6, 5.4 / 3.0, 3.0 / 1.2])
    assert gap.limit_over_lemma == pytest.approx(4.0 / 2.0)
    assert gap.speculation_share == pytest.approx(log(2.5) / log(7.5))


def moments_of(target, parameters, mus, error=0.01):
    row = measured_moments(target, [answers_of([[0.1, 1.3] * 8, [1.3, 0.1] * 8])])[0]
    rows = tuple(replace(row, data=data, mu=Estimate(mu, error, None, None, 9)) for data, mu in mus.items())
    return TargetMoments(target, parameters, rows)


def test_larger_targets_are_compared_where_they_share_data(tmp_path):
    """Three errors of 0.014 decide a difference of 0.1 and not one of 0.02; sizes and shared data matter."""
    small = moments_of("small", 10, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 2.0})
    large = moments_of("large", 20, {"a": 0.9, "b": 1.1, "c": 1.02, "e": 1.0})
    other = moments_of("alone", 30, {"f": 1.0})
    (pair,) = size_pairs([large, small, other])
    assert (pair.smaller, pair.larger) == ("small", "large")
    assert (pair.lower, pair.higher, pair.undecided) == (1, 1, 1)
    (claim,) = [c for c in judged_claims(Evidence(sizes=(pair,))) if "larger model" in c.claim]
    assert claim.verdict is Verdict.MIXED
    only_c = size_pairs([moments_of("s", 1, {"c": 1.0}), moments_of("l", 2, {"c": 1.02})])
    assert judged_claims(Evidence(sizes=only_c))[1].verdict is Verdict.UNDECIDED
    (tmp_path / "reproduced.json").write_text(json.dumps(asdict(small)))
    assert read_target_moments(tmp_path) == small
    (tmp_path / "reproduced.json").write_text('{"target": "small"}')
    with pytest.raises(StorageError, match="in the form"):
        read_target_moments(tmp_path)
    with pytest.raises(StorageError, match="run it first"):
        read_target_moments(tmp_path / "nowhere")


def times_verdicts(times):
    constant, free = judged_claims(Evidence(times=times))[5:7]
    assert "whatever P is" in constant.claim
    assert "Drafting takes no time" in free.claim
    return constant.verdict, free.verdict


def test_call_times_say_whether_a_call_takes_the_same_time():
    times = MeasuredTimes("toy", 64, {1: 1.0, 8: 1.05, 60: 1.09}, {"ngram": 0.01})
    slower = replace(times, growth={1: 1.0, 60: 1.8})
    dear = replace(times, drafting={"ngram": 0.01, "model": 0.4})
    untimed = replace(times, drafting={})
    assert times_verdicts(times) == (Verdict.CONFIRMED, Verdict.CONFIRMED)
    assert times_verdicts(slower) == (Verdict.REFUTED, Verdict.CONFIRMED)
    assert times_verdicts(dear) == (Verdict.CONFIRMED, Verdict.MIXED)
    assert times_verdicts(untimed) == (Verdict.CONFIRMED, Verdict.OUT_OF_REACH)
    seconds = np.array([[[1.0, 1.5, 4.0], [2.0, 3.0, 8.0]]])
    curve = CallTimeCurve.of_rounds([1, 8, 128], [64, 512], seconds)
    record = LatencyRecord("toy", (curve,), None, None, None, {})
    assert measured_times(record, 60) == MeasuredTimes("toy", 512, {1: 1.0, 8: 1.5}, {})
    late = replace(record, curves=(CallTimeCurve.of_rounds([2, 8], [64], np.ones((1, 1, 2))),))
    with pytest.raises(InvalidInput, match="node budget 1"):
        measured_times(late, 60)


def test_the_command_measures_all_of_it(tmp_path, monkeypatch, capsys):
    """On very little; what the numbers are is held against the records below."""
    monkeypatch.setattr(command, "load_target", lambda options: tiny_target())
    few = ("--temperature", "1", "--max-tokens", "10", "--every", "5")
    budgets = ("--budget", "2,4", "--limit-budgets", "8", "--drafter", "ngram")
    file = questions(tmp_path / "gsm8k.jsonl", 3)
    out = tmp_path / "out"
    assert main(["reproduce", "all", "--questions", str(file), "--out", str(out), *few, *budgets]) == 0
    assert "**Figure 2, GSM8K, T = 1**" in capsys.readouterr().out
    assert read_target_moments(out).moments[0].data == "GSM8K"


@pytest.mark.slow
def test_from_question_files_to_tables_and_figures(tmp_path):
    files = (questions(tmp_path / "gsm8k.jsonl", 6), questions(tmp_path / "own.jsonl", 5, turns=2))
    data = read_question_files(files, 4, FILE_NAMES)
    assert [(each.name, len(each.prompts)) for each in data] == [("GSM8K", 4), ("own", 4)]
    drafters = [ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1)]
    target = tiny_target()
    found = reproduce(target, "all", data, drafters, SETTINGS, tmp_path / "out")
    assert [(row.data, row.temperature) for row in found.moments] == [
        (name, t) for t in (1.0, 0.5) for name in ("GSM8K", "own")
    ]
    assert {p.drafter for p in found.points} == {"ngram", "layer_skip"}
    assert found.parameters == target.model.num_parameters()
    assert len(found.gaps) == 8
    for gap in found.gaps:
        assert gap.factors[SPECULATION] >= 1.0 - 0.3  # the trees' tokens are of the text, not expected ones
    assert len(found.points) == 8
    for each in found.panels:
        for place, best in enumerate(each.oracle):
            assert best.value <= each.node_budgets[place]
        assert list(each.measured) == ["ngram", "layer_skip"]
        for name, values in each.bounds.items():
            assert len(values) == (3 if name == "ergodic_renewal" else 5)
        assert [limits.node_budget for limits in each.decode] == [2, 4, 8, 16, 40]
        for limits in each.decode:
            assert limits.certified.value <= limits.bound.value
    tables = reproduced_markdown(found)
    assert "**Figure 2, own, T = 0.5**" in tables
    assert "published: Llama-3.1-8B" in tables
    assert "P = 40" in tables
    assert "**From Theorem 1 down to the drafter** (P = 8" in tables
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
        read_question_files((questions(tmp_path / "gsm8k.jsonl", 1),) * 2, 1)
    with pytest.raises(InvalidInput, match="rising"):
        PapersSettings(node_budgets=(8, 4))
    with pytest.raises(InvalidInput, match="rising"):
        PapersSettings(node_budgets=(8, 128))
