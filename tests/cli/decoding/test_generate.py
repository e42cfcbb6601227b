import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from speclight.cli.decoding import generate as command
from speclight.cli.main import main
from speclight.cli.output import Output
from speclight.decoding.decode import BATCH_SIZE
from speclight.decoding.options import chosen_decoding
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.models.causal_lm import CausalLM
from toys import tiny_target


@pytest.fixture
def toy(runs_on: Callable[..., None]) -> None:
    runs_on(tiny_target(vocabulary_size=5, seed=1, layers=1), command)


Run = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def run(run_json: Run) -> Run:
    return lambda *arguments: run_json("generate", "--raw", "--prompt", "t1 t2 t3", *arguments)


@pytest.mark.usefixtures("toy")
def test_plain_decoding_emits_one_token_a_call(run: Run) -> None:
    document, shown = run("--drafter", "none", "--max-tokens", "12", "--seed", "3")
    assert document["schema"] == 2
    assert document["calls"] == len(document["token_ids"]) == 12
    assert document["tokens_per_call"] == 1.0
    assert document["seconds"] > 0.0
    assert document["text"] == " ".join(f"t{token}" for token in document["token_ids"])
    assert shown == document["text"] + "\n"


@pytest.mark.usefixtures("toy")
def test_drafting_at_temperature_0_changes_calls_and_not_the_text(run: Run) -> None:
    settings = ("--temperature", "0", "--max-tokens", "30", "--budget", "6")
    plain, _ = run(*settings, "--drafter", "none")
    for rule in ("greedy", "target_sample"):
        drafted, _ = run(*settings, "--drafter", "ngram", "--rule", rule)
        assert drafted["token_ids"] == plain["token_ids"]
        assert drafted["calls"] < plain["calls"]
        assert sum(drafted["tokens_by_call"]) == len(drafted["token_ids"])
        assert drafted["tokens_per_call"] == len(drafted["token_ids"]) / drafted["calls"]


@pytest.mark.usefixtures("toy")
def test_seeds_and_sampling_options_reach_the_decoder(run: Run) -> None:
    def text(*arguments: str) -> list[int]:
        return run("--max-tokens", "12", *arguments)[0]["token_ids"]

    assert text("--seed", "1") == text("--seed", "1")
    assert text("--seed", "1") != text("--seed", "2")
    greedy = text("--temperature", "0")
    assert text("--top-k", "1") == greedy
    assert text("--top-p", "1e-9") == greedy
    assert text("--seed", "1") != greedy


@pytest.mark.usefixtures("toy")
def test_people_see_the_text_and_the_tokens_per_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--raw", "--prompt", "t1", "--drafter", "none", "--max-tokens", "4"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("t")
    assert "4 tokens in 4 target calls: 1.00 tokens per call" in captured.out
    assert captured.err == ""


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--temperature", "-1"], "temperature -1"),
        (["--budget", "0"], "got 0"),
        (["--max-tokens", "0"], "got 0"),
        (["--seed", "-1"], "got -1"),
        (["--top-p", "0"], "top_p 0"),
        (["--rule", "guess"], "'guess'"),
        (["--drafter", "guess"], "'guess'"),
        (["--rule", "greedy", "--temperature", "1"], "greedy"),
    ],
)
def test_bad_input_exits_2(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--raw", "--prompt", "t1", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("speclight: error: ")
    assert named in captured.err


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("raw", [[], ["--raw"]])
def test_an_empty_prompt_is_refused(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--prompt", "", *raw]) == 2
    assert "prompt is empty" in capsys.readouterr().err


def test_a_prompt_longer_than_the_window_is_refused(
    runs_on: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    runs_on(tiny_target(window=1, layers=1), command)
    assert main(["generate", "--raw", "--prompt", "t1"]) == 2
    assert "no room in the context window of 1 tokens" in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_several_prompts_are_each_what_they_are_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("t4 t4\n\nt0 t1 t0 t1\n")
    settings = ("--raw", "--max-tokens", "9", "--seed", "4", "--json")
    several = ("--prompt", "t1 t2 t3", "--prompt", "t2", "--prompts-file", str(file), "--batch-size", "3")
    assert main(["generate", *several, *settings]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    prompts = ["t1 t2 t3", "t2", "t4 t4", "t0 t1 t0 t1"]
    assert [one["prompt"] for one in document["texts"]] == prompts
    assert document["batch_size"] == 3
    for number, (prompt, one) in enumerate(zip(prompts, document["texts"], strict=True)):
        seed = str(4 + number)
        assert main(["generate", "--prompt", prompt, *settings[:-2], seed, "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert one["seed"] == alone["seed"]
        assert one["token_ids"] == alone["token_ids"]
        assert f"[{number}] {prompt}\n{one['text']}\n" in captured.err


@pytest.mark.usefixtures("toy")
def test_many_prompts_show_how_far_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("speclight.progress.ITEMS_A_STEP", 2)
    monkeypatch.setattr("speclight.cli.progress.PATIENCE_SECONDS", 0.0)
    file = tmp_path / "prompts.txt"
    file.write_text("t1\nt2\nt3\nt4\nt1\n")
    assert main(["generate", "--raw", "--prompts-file", str(file), "--max-tokens", "1"]) == 0
    assert "counting the prompts' tokens: 2 of 5," in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_people_see_the_texts_of_several_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    several = ("--prompt", "t1", "--prompt", "t2", "--drafter", "none", "--max-tokens", "4")
    assert main(["generate", "--raw", *several]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("[0] t1\nt")
    assert "8 tokens in 8 target calls of 2 texts, several of which share one: 1.00 tokens per call" in shown


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "got no prompt"),
        (["--prompts-file", "missing.txt"], "missing.txt"),
        (["--prompt", "t1", "--batch-size", "0"], "batch_size must be >= 1, got 0"),
    ],
)
def test_prompts_that_cannot_be_decoded(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--raw", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_defaults_are_those_of_the_python_function() -> None:
    options = command.GenerateOptions()
    python = chosen_decoding()
    assert python.settings.node_budget == AUTO  # on the command line, asked for by --budget auto
    assert options.decoding == replace(python.settings, node_budget=DecodeSettings().node_budget)
    assert (options.drafting.drafter, options.drafting.rule) == (python.drafter, python.rule.name)
    assert options.batch_size == BATCH_SIZE


def test_streaming_holds_unfinished_characters_back() -> None:
    """A two-byte character in two tokens: nothing is shown until the second one comes."""

    def text_of(token_ids: list[int]) -> str:
        return bytes(token_ids).decode(errors="replace")

    target = cast(Any, SimpleNamespace(tokenizer=SimpleNamespace(get_vocab=dict), text_of=text_of))
    shown = io.StringIO()
    stream = command.TextStream(target, Output(for_people=shown, for_programs=shown))
    seen = []
    for token in "né".encode():
        stream.add(cast(Any, SimpleNamespace(emitted_tokens=(token,))))
        seen.append(shown.getvalue())
    stream.finish()
    assert seen == ["n", "n", "né"]
    assert shown.getvalue() == "né\n"


@pytest.mark.model
def test_the_default_target_answers(
    default_target: CausalLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command's own way to it; what is loaded in the end is what other tests have loaded already."""
    asked: list[str] = []

    def load(target: str, **_: object) -> CausalLM:
        asked.append(target)
        return default_target

    monkeypatch.setattr("speclight.models.load.load", load)
    arguments = ["--prompt", "Name a colour.", "--max-tokens", "8", "--temperature", "0", "--threads", "1"]
    assert main(["generate", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["target"] == "SmolLM2-135M-Instruct, dequantised from Q4_1"
    assert 1 <= len(document["token_ids"]) <= 8
    assert document["text"].strip()
    assert asked == ["default"]
