"""profile, oracle, demo and report from the command line, on a toy target and prompts of its words."""

import json
from dataclasses import replace

import pytest

import speclight.cli.experiments.many_to_one
import speclight.cli.limits.demo
import speclight.cli.limits.oracle
import speclight.cli.limits.profile
from speclight.cli.main import main
from speclight.experiments.demo import run as demo_run
from speclight.measure.trace.record import read_trace
from toys import tiny_target

FAMILIES = ("code", "qa")


@pytest.fixture(autouse=True)
def toy_target(runs_on):
    runs_on(
        tiny_target(vocabulary_size=5, seed=1, window=256, layers=1),
        speclight.cli.limits.profile,
        speclight.cli.limits.oracle,
        speclight.cli.limits.demo,
        speclight.cli.experiments.many_to_one,
    )


def test_profile_then_oracle(prompts, tmp_path, run_json):
    profile, oracle = str(tmp_path / "profile"), str(tmp_path / "oracle")
    document, _ = run_json("profile", "--prompts", prompts, "--out", profile, "--max-tokens", "40")
    assert set(document["families"]) == set(FAMILIES)
    for family in document["families"].values():
        for estimator in ("full", "sampled"):
            assert family[estimator]["tokens"] == 3 * 40
            assert 0 < family[estimator]["mu_nats"] < 1.7  # below ln 5
            assert family[estimator]["mu2_nats2"] >= family[estimator]["mu_nats"] ** 2
            assert family[estimator]["mu_standard_error"] > 0
    limits, _ = run_json(
        "oracle",
        "--profile",
        profile,
        "--out",
        oracle,
        "--contexts",
        "6",
        "--budget",
        "1,4,8",
    )
    for family in FAMILIES:
        values = limits["families"][family]["limits"]
        assert [value["node_budget"] for value in values] == [1, 4, 8]
        assert values[0]["tokens_per_call"] == 1.0
        assert values[0]["tokens_per_call"] < values[1]["tokens_per_call"] < values[2]["tokens_per_call"] <= 8


def test_many_to_one_at_contexts_of_a_profile(prompts, tmp_path, capsys, run_json):
    """4 contexts x 2 levels: |z| > 4.5 in one of them is a false alarm below 1e-4 (seeds fixed)."""
    profile, out = str(tmp_path / "profile"), str(tmp_path / "many-to-one")
    run_json("profile", "--prompts", prompts, "--out", profile, "--max-tokens", "20")
    options = [
        "--profile",
        profile,
        "--out",
        out,
        "--contexts",
        "4",
        "--continuations",
        "60",
        "--budget",
        "12",
    ]
    document, _ = run_json("experiment", "many-to-one", *options)
    assert len({(c["prompt_id"], c["start"]) for c in document["contexts"]}) == 4
    for context in document["contexts"]:
        assert context["exact"] == [4.0, 11.0]
        assert max(abs(z) for z in context["z"]) < 4.5
    assert main(["experiment", "many-to-one", *options]) == 0  # from the records, as a table
    assert "within two standard errors" in capsys.readouterr().out
    assert main(["experiment", "many-to-one", *options[:-1], "1"]) == 2
    assert "two nodes" in capsys.readouterr().err


def test_one_family_of_several(prompts, tmp_path, run_json):
    out = str(tmp_path / "profile")
    document, _ = run_json(
        "profile", "--prompts", prompts, "--families", "qa", "--out", out, "--max-tokens", "9"
    )
    assert list(document["families"]) == ["qa"]


def test_tables_for_people(prompts, tmp_path, capsys):
    out = str(tmp_path / "profile")
    assert main(["profile", "--prompts", prompts, "--out", out, "--max-tokens", "20"]) == 0
    assert "mu, sampled" in capsys.readouterr().out


def test_demo_writes_a_report_and_report_writes_it_again(prompts, tmp_path, run_json, monkeypatch):
    """Less of everything than --quick measures, which a slow test runs as it is."""
    less = replace(demo_run.QUICK, profile_tokens=24, oracle_contexts=2, oracle_budget=12, call_rounds=1)
    monkeypatch.setattr(demo_run, "QUICK", less)
    out = tmp_path / "demo"
    document, _ = run_json("demo", "--quick", "--prompts", prompts, "--out", str(out))
    assert 1.0 <= document["expected_tokens_per_call"] <= document["limit_tokens_per_call"] <= 4.0
    assert document["share_of_limit"] == pytest.approx(
        document["expected_tokens_per_call"] / document["limit_tokens_per_call"]
    )
    assert document["speed_verdict"] in ("faster", "slower", "not decided")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "reaches" in page
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {row["temperature"] for row in record["decodings"]} == {0.0, 1.0}
    assert all(row["divergences_other"] in (0, None) for row in record["decodings"])
    assert_what_if_is_the_headline_at_its_budget(record)
    traced = read_trace(out / "records" / "trace")
    assert [row["family"] for row in record["at_uniform_starts"]] == ["all families", *traced.families]
    assert record["at_uniform_starts"][0]["starts"] == len(traced.starts)
    again = tmp_path / "again"
    assert main(["report", "--run", str(out), "--out", str(again)]) == 0
    assert (again / "report.html").read_text(encoding="utf-8") == page


def assert_what_if_is_the_headline_at_its_budget(record):
    """The same calls: at the run's own P the part shows what the headline says, below it no more."""
    headline, (warm, cold) = record["headline"], record["what_if"]["loads"]
    assert (warm["temperature"], cold["temperature"]) == (1.0, 0.0)
    assert cold["limit"] == cold["node_budgets"]  # greedy text is certain
    calls = warm["drafted"][0]["calls"]
    (own,) = [each for each in calls if each["node_budget"] == headline["node_budget"]]
    assert own["tokens"]["value"] == pytest.approx(headline["expected_tokens_per_call"]["value"])
    assert own["best_tree"] == pytest.approx(headline["limit_tokens_per_call"]["value"])
    tokens = [each["tokens"]["value"] for each in calls]
    assert tokens == sorted(tokens)
    assert all(sum(each["shares"]) == pytest.approx(1.0) for each in calls)


@pytest.mark.slow
def test_demo_ends_stdout_with_its_json_line(prompts, tmp_path, capsys):
    assert main(["demo", "--quick", "--prompts", prompts, "--out", str(tmp_path / "demo")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert json.loads(lines[-1])["schema"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profile", "--temperature", "0"], "temperature above 0"),
        (["profile", "--temperature", "-1"], "temperature"),
        (["profile", "--samples", "0"], "samples"),
        (["profile", "--families", "poetry"], "poetry"),
        (["profile", "--prompts", "missing.jsonl"], "missing.jsonl"),
        (["oracle", "--profile", "nowhere"], "plan.json"),
        (["oracle", "--budget", "0"], "at least 1"),
        (["report", "--run", "nowhere"], "report.json"),
    ],
)
def test_bad_input_exits_2_and_says_why(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_another_plan_in_the_folder_is_refused(prompts, tmp_path, capsys, run_json):
    out = str(tmp_path / "profile")
    run_json("profile", "--prompts", prompts, "--out", out, "--max-tokens", "20")
    assert main(["profile", "--prompts", prompts, "--out", out, "--max-tokens", "21"]) == 2
    assert "another plan" in capsys.readouterr().err
