"""trace from the command line, on a toy target and prompts of its words."""

import pytest

import speclight.cli.limits.profile
import speclight.cli.limits.trace
from speclight.cli.main import main
from speclight.measure.trace.record import read_trace
from toys import tiny_target

SMALL = ("--budget", "1,3,6", "--window", "3", "--windows-per-family", "2")
TEXTS = ("--max-tokens", "12")


@pytest.fixture(autouse=True)
def toy_target(runs_on):
    target = tiny_target(vocabulary_size=5, seed=1, window=128)
    runs_on(target, speclight.cli.limits.profile, speclight.cli.limits.trace)


def test_a_trace_of_several_drafters_is_made_shown_and_gone_on_with(prompts, tmp_path, run_json, capsys):
    drafters = ("--drafter", "ngram", "--drafter", "layer_skip", "--layers", "1")
    growths = ("--growth", "best_first", "--growth", "eagle2=2,2,1", "--growth", "chain")
    arguments = ("trace", "--prompts", prompts, "--out", str(tmp_path), *SMALL, *TEXTS, *drafters, *growths)
    document, _ = run_json(*arguments)
    assert document["start_law"] == "uniform positions, in windows"
    assert document["growths"] == ["best_first", "eagle2=2,2,1", "chain"]
    assert document["tokens"] == 6 * 12
    assert document["bytes_per_token"] * 72 == pytest.approx(document["bytes_per_start"] * document["starts"])
    for family in document["families"].values():
        best, layer_skip = (family["tokens_per_call"][name] for name in ("best possible", "layer_skip"))
        assert [each["node_budget"] for each in best] == [1, 3, 6]
        assert best[0]["value"] == layer_skip[0]["value"] == 1.0
        for own, most in zip(layer_skip, best, strict=True):
            assert own["value"] <= most["value"] + 1e-12
    assert read_trace(tmp_path).drafters == ("ngram", "layer_skip")
    assert main([*arguments]) == 0
    shown = capsys.readouterr().out
    assert "best possible" in shown
    assert f"{document['starts']} starts in 72 tokens of 6 texts" in shown


def test_texts_of_a_profile_and_greedy_texts(prompts, tmp_path, run_json):
    profile = str(tmp_path / "profile")
    run_json("profile", "--prompts", prompts, "--out", profile, *TEXTS, "--temperature", "0.7")
    out = str(tmp_path / "out")
    document, _ = run_json("trace", "--profile", profile, "--out", out, *SMALL, "--drafter", "none")
    assert document["temperature"] == 0.7
    assert set(document["families"]["code"]["tokens_per_call"]) == {"best possible"}
    greedy = (
        "--temperature",
        "0",
        "--drafter",
        "ngram",
        "--prompts",
        prompts,
        "--out",
        str(tmp_path / "greedy"),
    )
    document, _ = run_json("trace", *SMALL, *TEXTS, *greedy)
    for family in document["families"].values():
        assert [each["value"] for each in family["tokens_per_call"]["best possible"]] == [1.0, 3.0, 6.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drafter", "lookahead"], "choose each once, among ngram"),
        (["--drafter", "nobody"], "no drafter is called 'nobody'"),
        (["--drafter", "model"], "give model=FOLDER"),
        (["--growth", "bush"], "no draft tree is called 'bush'"),
        (["--budget", "8,4"], "rising"),
        (["--budget", "0"], "rising numbers >= 1"),
        (["--window", "0"], "window must be >= 1"),
        (["--profile", "nowhere"], "plan.json"),
        (["--profile", "nowhere", "--max-tokens", "9"], "leave out --temperature"),
    ],
)
def test_bad_input_exits_2_and_says_why(arguments, message, prompts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = [] if "--profile" in arguments else ["--prompts", prompts]
    assert main(["trace", *arguments, *rest]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
