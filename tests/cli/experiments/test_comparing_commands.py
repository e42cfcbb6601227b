"""compare-drafters and compare-trees from the command line, on a toy target and prompts of its words."""

import pytest

import speclight.cli.experiments.compare_drafters
import speclight.cli.experiments.compare_trees
from speclight.cli.main import main
from toys import tiny_target

FAMILIES = ("code", "qa")


@pytest.fixture(autouse=True)
def toy_target(runs_on):
    commands = (speclight.cli.experiments.compare_drafters, speclight.cli.experiments.compare_trees)
    runs_on(tiny_target(vocabulary_size=5, seed=1, window=256), *commands)


def trees(prompts, out, *more):
    return [
        *(
            "experiment",
            "compare-trees",
            "--prompts",
            prompts,
            "--out",
            str(out),
            "--budget",
            "2,5",
            "--contexts",
            "1",
        ),
        *("--prompts-per-family", "2", "--calibration-prompts", "1", "--max-tokens", "8"),
        *("--drafter", "ngram", "--drafter", "layer_skip", "--layers", "1", *more),
    ]


def drafters(prompts, out, *more):
    return [
        *(
            "experiment",
            "compare-drafters",
            "--prompts",
            prompts,
            "--out",
            str(out),
            "--budget",
            "5",
            "--max-tokens",
            "8",
        ),
        *("--prompts-per-family", "1", "--drafter", "ngram", "--drafter", "lookahead", *more),
    ]


def test_compare_trees_says_the_same_as_json_and_as_tables(prompts, tmp_path, capsys, run_json):
    out = tmp_path / "trees"
    document, _ = run_json(*trees(prompts, out))
    assert [own["drafter"] for own in document["drafters"]] == ["ngram", "layer_skip"]
    for own in document["drafters"]:
        assert (own["contexts"], own["families"]) == (4, list(FAMILIES))
        assert all(cell["own_violations"] == 0 for cell in own["cells"])
    assert main(trees(prompts, out)) == 0
    shown = capsys.readouterr().out
    assert "best-first minus" in shown
    assert (out / "tables.md").read_text(encoding="utf-8") in shown + "\n"
    assert (out / "tokens-per-call.svg").exists()


def test_compare_drafters_says_the_same_as_json_and_as_tables(prompts, tmp_path, capsys, run_json):
    out = tmp_path / "drafters"
    document, _ = run_json(*drafters(prompts, out))
    found = [(row["drafter"], row["temperature"]) for row in document["rows"]]
    assert found == [(name, t) for t in (0.0, 1.0) for name in ("none", "ngram", "lookahead")]
    assert document["rows"][0]["speed_up"] == 1.0
    assert main(drafters(prompts, out)) == 0
    shown = capsys.readouterr().out
    assert "speed against plain" in shown
    assert (out / "tables.md").read_text(encoding="utf-8") in shown + "\n"
    assert (out / "drafters.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment", "compare-trees", "--drafter", "oracle"], "ngram, layer_skip, model, eagle3, medusa"),
        (["experiment", "compare-trees", "--drafter", "medusa"], "give medusa=FOLDER"),
        (["experiment", "compare-trees", "--budget", "1"], "rising numbers >= 2"),
        (["experiment", "compare-trees", "--temperature", "0"], "temperature above 0"),
        (["experiment", "compare-drafters", "--drafter", "parrot"], "parrot"),
        (["experiment", "compare-drafters", "--drafter", "ngram=x"], "ngram=x"),
        (["experiment", "compare-drafters", "--max-tokens", "0"], "max_tokens"),
    ],
)
def test_bad_input_exits_2_and_says_why(arguments, message, prompts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prompts_enough = ["--prompts-per-family", "1"] if "--max-tokens" not in arguments else []
    assert main([*arguments, "--prompts", prompts, *prompts_enough]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
