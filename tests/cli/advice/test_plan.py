"""`speclight plan` on a small trace and made-up call times: what it says, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from speclight.advice.machine import mean_context_tokens, prices_of
from speclight.cli.advice.plan import read_mix
from speclight.cli.main import main
from speclight.errors import InvalidInput
from speclight.measure.latency.record import read_latency
from speclight.measure.trace.record import read_trace


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
