"""`speclight plan` on a small trace and made-up call times: what it says, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

import speclight.cli.advice.plan as plan_command
from speclight.advice.machine import mean_context_tokens, prices_of
from speclight.advice.plan import plan as plan_starts
from speclight.advice.validation import validate
from speclight.advice.validation_settings import ValidationSettings
from speclight.cli.advice.plan import read_mix
from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.measure.latency.record import read_latency
from speclight.measure.trace.record import read_trace

RULE = "target_sample"


def test_a_plan_for_every_batch_size_timed(traced, timed, run_json):
    document, shown = run_json("plan", traced, "--latency", timed)
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
    ],
)
def test_what_is_refused(traced, timed, arguments, message, capsys):
    assert main(["plan", traced, "--latency", timed, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_predictions_are_held_against_decoding(toy, traced, timed, runs_on, run_json):
    runs_on(toy, plan_command)
    amounts = ("--prompts-per-family", "2", "--max-tokens", "6", "--rounds", "1")
    chosen = ("--growth", "chain", "--drafter", "layer_skip", "--layers", "1", "--budget", "2,4")
    document, shown = run_json("plan", traced, "--latency", timed, *chosen, "--validate", "2", *amounts)
    assert [row["node_budget"] for row in document["validation"]] == [
        row["node_budget"] for row in document["plans"][0]["predictions"] if row["drafter"] != "none"
    ]
    for row in document["validation"]:
        assert row["drafter"] == "layer_skip"
        assert row["agreement"] == pytest.approx(row["speed_up_measured"] / row["speed_up_predicted"])
        assert 1.0 <= row["tokens_per_call_measured"] <= row["node_budget"]
        assert row["tokens_per_call_low"] < row["tokens_per_call_measured"]
        assert row["verdict"] in ("faster", "slower", "not decided")
    assert "Predicted and measured" in shown


def test_a_plan_is_held_against_the_target_traced_alone(toy, traced, timed):
    trace, times = read_trace(Path(traced)), read_latency(Path(timed))
    single, pair = (plan_starts(trace.starts, RULE, prices_of(trace, times, size)) for size in (1, 2))
    settings = ValidationSettings()
    with pytest.raises(InvalidInput, match="has other weights than"):
        validate(toy, replace(trace, weights_sha256="a"), single, [], settings)
    with pytest.raises(InvalidInput, match="a plan for 2 texts at once"):
        validate(toy, trace, pair, [], settings)


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


@pytest.mark.parametrize("mix", [("code",), ("=1",), ("code=0",), ("code=x",), ("code=inf",), ("a=1", "a=2")])
def test_mixes_that_cannot_be_read(mix):
    with pytest.raises(InvalidInput, match="expected FAMILY=SHARE"):
        read_mix(mix)


def test_mixes_are_read():
    assert read_mix(()) is None
    assert read_mix(("code=2", "qa=0.5")) == {"code": 2.0, "qa": 0.5}
