"""`speclight plan` on a small trace and made-up call times: what it says, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

import speclight.cli.advice.plan as plan_command
from speclight.advice.machine import mean_context_tokens, prices_of
from speclight.advice.plan import plan as plan_starts
from speclight.advice.validation import ValidationCase, validate
from speclight.advice.validation_settings import ValidationSettings
from speclight.cli.advice.plan import read_mix
from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.measure.latency.record import read_latency
from speclight.measure.trace.record import read_trace

RULE = "target_sample"


@pytest.mark.slow
def test_a_plan_for_every_batch_size_timed(traced, timed, run_json):
    document, shown = run_json("plan", traced, "--latency", timed, "--growth", "chain", "--budget", "2,4")
    single, pair = document["plans"]
    assert (single["batch_size"], pair["batch_size"]) == (1, 2)
    # Every call takes a second, drafters' too: a chain of one costs two calls and emits at most two tokens.
    assert document["recommendation"][0].startswith("Do not speculate")
    assert "it brings less than it takes" in document["reasons"][0][0]
    assert {row["drafter"] for row in single["predictions"]} == {"none", "ngram", "layer_skip"}
    speeds = [row["tokens_per_second"] for row in single["predictions"]]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == pytest.approx(1.0)
    assert [engine["engine"] for engine in document["engines"]] == [
        "speclight",
        "vLLM",
        "SGLang",
        "TensorRT-LLM",
        "llama.cpp",
        "Transformers",
    ]
    assert "leave speculation off" in shown
    assert pair["predictions"][0]["tokens_per_second"] == pytest.approx(2.0)


def test_a_part_of_it_at_another_mix(traced, timed, run_json):
    chosen = ("--drafter", "ngram", "--growth", "chain", "--budget", "2,4", "--mix", "code=1", "--top", "1")
    (single, _), alone = (
        run_json("plan", traced, "--latency", timed, *chosen)[0]["plans"],
        run_json("plan", traced, "--latency", timed, *chosen[:-4], "--mix", "code=3")[0]["plans"],
    )
    assert single["mix"] == {"code": 1.0}
    assert {row["node_budget"] for row in single["predictions"]} == {1, 2, 4}
    assert alone[0]["predictions"] == single["predictions"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mix", "law=1"), "the mix names the family 'law', expected one of code, qa"),
        (("--mix", "code"), "expected FAMILY=SHARE"),
        (("--drafter", "eagle3"), "no drafter 'eagle3'"),
        (("--context-tokens", "0"), "context_tokens must be >= 1"),
        (("--loop-seconds", "-1"), "loop_seconds -1"),
        (("--families", "law"), "no family 'law', expected one of code, qa"),
        (("--families", "qa", "--mix", "qa=1"), "got both --families and --mix"),
        (("--batch-sizes", "3"), "got batch size 3, expected one of those timed (1, 2)"),
    ],
)
def test_what_is_refused(traced, timed, arguments, message, capsys):
    assert main(["plan", traced, "--latency", timed, *arguments]) == 2
    assert message in capsys.readouterr().err


AMOUNTS = ("--prompts-per-family", "2", "--max-tokens", "6", "--rounds", "1")
CHAINS = ("--growth", "chain", "--drafter", "layer_skip", "--layers", "1", "--budget", "2,4")


@pytest.mark.slow
def test_predictions_are_held_against_decoding(toy, traced, timed, runs_on, run_json, tmp_path):
    runs_on(toy, plan_command)
    arguments = (
        "plan",
        traced,
        "--latency",
        timed,
        "--out",
        str(tmp_path),
        *CHAINS,
        "--validate",
        "2",
        *AMOUNTS,
    )
    document, shown = run_json(*arguments)
    assert [row["node_budget"] for row in document["validation"]] == [
        row["node_budget"] for row in document["plans"][0]["predictions"] if row["drafter"] != "none"
    ]
    for row in document["validation"]:
        assert (row["case"], row["drafter"], row["is_auto"]) == ("mix", "layer_skip", False)
        assert row["agreement"] == pytest.approx(row["speed_up_measured"] / row["speed_up_predicted"])
        assert row["is_near"] == (abs(row["agreement"] - 1.0) <= 0.1)
        assert 1.0 <= row["tokens_per_call_measured"] <= row["node_budget"]
        assert row["tokens_per_call_low"] < row["tokens_per_call_measured"]
        assert row["verdict"] in ("faster", "slower", "not decided")
        assert row["seconds_predicted"]["target"] == pytest.approx(1.0)  # of the made-up clock
        assert 0.0 < row["seconds_measured"]["draft"] < 1.0
    assert "Predicted and measured" in shown
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert len(files) == 4  # two prompts of each of two families
    assert run_json(*arguments)[0]["validation"] == document["validation"]  # from the record
    (tmp_path / "case-00-prompt-0001.parquet").unlink()
    run_json(*arguments)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert kept.keys() == files.keys()
    assert kept["case-00-prompt-0000.parquet"] == files["case-00-prompt-0000.parquet"]


def test_each_family_has_a_plan_and_is_decoded_by_it(toy, traced, timed, runs_on, run_json, tmp_path):
    runs_on(toy, plan_command)
    chosen = ("--by-family", "--drafter", "ngram", "--budget", "2,4", "--batch-sizes", "1")
    more = ("--out", str(tmp_path), "--validate", "1", *AMOUNTS)
    document, shown = run_json("plan", traced, "--latency", timed, *chosen, *more)
    assert [each["name"] for each in document["plans"]] == ["code", "qa"]
    assert [each["mix"] for each in document["plans"]] == [{"code": 1.0}, {"qa": 1.0}]
    assert [row["case"] for row in document["validation"]] == ["code", "qa"]
    assert document["engines"] == []
    near = sum(row["is_near"] for row in document["validation"])
    assert f"Predicted within 10% of measured: {near} of 2" in shown
    for plan in document["plans"]:
        best = plan["predictions"][0]["tokens_per_second"]
        assert best <= plan["limit_tokens_per_second"] * (1 + 1e-9)
    alone, _ = run_json("plan", traced, "--latency", timed, *chosen, "--families", "qa")
    assert alone["plans"] == document["plans"][1:]


def test_a_budget_that_each_call_sets_is_predicted_and_decoded(
    toy, traced, timed, runs_on, run_json, tmp_path
):
    runs_on(toy, plan_command)
    chosen = ("--drafter", "ngram", "--growth", "best_first", "--budget", "8", "--batch-sizes", "1")
    more = ("--out", str(tmp_path), "--validate", "2", *AMOUNTS)
    document, shown = run_json("plan", traced, "--latency", timed, *chosen, *more)
    rows = {row["is_auto"]: row for row in document["plans"][0]["predictions"] if row["drafter"] == "ngram"}
    # Every call takes a second, drafters' too: a fixed budget loses, one that is set does not speculate long.
    assert rows[True]["tokens_per_second"] > rows[False]["tokens_per_second"]
    assert {row["is_auto"] for row in document["validation"]} == {True, False}
    assert "P = auto" in shown
    without, _ = run_json("plan", traced, "--latency", timed, *chosen, "--no-auto")
    assert not any(row["is_auto"] for row in without["plans"][0]["predictions"])


def test_a_plan_is_held_against_the_target_traced_alone(toy, traced, timed, tmp_path):
    trace, times = read_trace(Path(traced)), read_latency(Path(timed))
    single, pair = (plan_starts(trace.starts, RULE, prices_of(trace, times, size)) for size in (1, 2))
    settings = ValidationSettings()

    def held(plan, trace=trace, times=times):
        validate(toy, trace, times, [ValidationCase("mix", (), plan, ())], {}, settings, tmp_path)

    with pytest.raises(InvalidInput, match="has other weights than"):
        held(single, trace=replace(trace, weights_sha256="a"))
    with pytest.raises(InvalidInput, match="a plan for 2 texts at once"):
        held(pair)
    for name, told in (("kernels", "slow"), ("offload", "disk"), ("threads", 99)):
        with pytest.raises(InvalidInput, match=f"taken with {name} {told}"):
            held(single, times=replace(times, plan={**times.plan, name: told}))


def test_a_folder_without_call_times_is_refused(traced, tmp_path, capsys):
    assert main(["plan", traced, "--latency", str(tmp_path)]) == 2
    assert "holds no plan.json" in capsys.readouterr().err


def test_call_times_of_another_target_are_refused(traced, timed):
    trace, times = replace(read_trace(Path(traced)), weights_sha256="a"), read_latency(Path(timed))
    for weights in ("a", None):
        prices_of(trace, replace(times, plan={**times.plan, "weights_sha256": weights}), 1)
    with pytest.raises(InvalidInput, match="expected one target in both"):
        prices_of(trace, replace(times, plan={**times.plan, "weights_sha256": "b"}), 1)


def test_two_timed_drafters_of_one_name_are_refused(traced, timed):
    trace, times = read_trace(Path(traced)), read_latency(Path(timed))
    twice = [{"name": "eagle3"}, {"name": "eagle3"}]
    with pytest.raises(InvalidInput, match="hold 2 drafters called 'eagle3'"):
        prices_of(trace, replace(times, plan={**times.plan, "drafters": twice}), 1)


def test_the_context_is_that_of_the_trace(traced):
    trace = read_trace(Path(traced))
    prompts = {text.prompt_id: len(text.prompt_token_ids) for text in trace.profile.texts}
    before = [prompts[start.prompt_id] + start.start for start in trace.starts]
    assert mean_context_tokens(trace) == pytest.approx(sum(before) / len(before))
    own = [tokens for tokens, start in zip(before, trace.starts, strict=True) if start.family == "qa"]
    assert mean_context_tokens(trace, ["qa"]) == pytest.approx(sum(own) / len(own))


@pytest.mark.parametrize("mix", [("code",), ("=1",), ("code=0",), ("code=x",), ("code=inf",), ("a=1", "a=2")])
def test_mixes_that_cannot_be_read(mix):
    with pytest.raises(InvalidInput, match="expected FAMILY=SHARE"):
        read_mix(mix)


def test_mixes_are_read():
    assert read_mix(()) is None
    assert read_mix(("code=2", "qa=0.5")) == {"code": 2.0, "qa": 0.5}
