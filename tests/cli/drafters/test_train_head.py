"""`speclight train-head` on a toy: from nothing to a folder that drafts, resumed, and bad input."""

import pytest

from speclight.cli.drafters import train_head as command
from speclight.cli.main import main
from speclight.drafting.drafter_names import drafter_named
from speclight.drafting.drafters import new_drafter
from speclight.training.sampling_run import stored_tokens
from toy_texts import chatting
from toys import as_target, tiny_llama

VOCABULARY, END = 12, 4
DRAFTER_OF_KIND = {"eagle3": "eagle3", "medusa": "medusa", "small-lm": "model"}
SMALL = ("--text-tokens", "600", "--rows", "16", "--draft-vocabulary", "9", "--small-layers", "2")


@pytest.fixture(scope="module")
def target():
    toy = as_target(tiny_llama(VOCABULARY, layers=6, window=512), frozenset({END}))
    toy.model.float()
    return chatting(toy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shared: what one kind sampled the others train on."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(autouse=True)
def toy_target(runs_on, target):
    runs_on(target, command)


@pytest.fixture
def run(run_json, folder):
    return lambda *arguments: run_json("train-head", "--out", str(folder), *SMALL, *arguments)


@pytest.mark.parametrize("kind", DRAFTER_OF_KIND)
def test_every_kind_ends_in_a_folder_that_drafts(run, target, folder, kind):
    plan = ("--training-tokens", "600", "--first-step-tokens", "300", "--kind", kind)
    document, shown = run(*plan)
    assert document["text_tokens"] == stored_tokens(folder / "texts") >= 600
    curve = document["learning_curve"]
    # EAGLE-3 is measured after its first stage too.
    assert len(curve) == (2 if kind == "eagle3" else 1)
    assert curve[-1]["tokens"] >= 600
    assert len(curve[-1]["agreements"]) == (1 if kind == "small-lm" else 3)
    assert f"written to the folder {kind}" in shown
    assert f"{curve[-1]['tokens']} tokens" in shown
    assert new_drafter(drafter_named(DRAFTER_OF_KIND[kind], str(folder / kind)), target).name

    again, _ = run(*plan)  # nothing is left to do: measured and written once more
    assert [point["tokens"] for point in again["learning_curve"]] == [curve[-1]["tokens"]]
    longer, _ = run("--training-tokens", "1200", *plan[2:])
    assert longer["learning_curve"][-1]["tokens"] >= 1200
    assert longer["text_tokens"] == document["text_tokens"]


@pytest.mark.slow
def test_drafters_of_earlier_tokens_are_kept(run_json, target, tmp_path):
    """A folder at the first update past each 400 tokens; a finished run keeps no more of them."""
    out, plan = tmp_path / "kept", ("--training-tokens", "1000", "--kind", "medusa", "--keep-every", "400")
    command_line = ("train-head", "--out", str(out), *SMALL, *plan)
    document, _ = run_json(*command_line)
    kept = sorted(path.name for path in out.glob("medusa-*"))
    assert [int(name.removeprefix("medusa-")) // 400 for name in kept] == [1, 2]
    assert [point["tokens"] for point in document["learning_curve"]][:2] == [
        int(name.removeprefix("medusa-")) for name in kept
    ]
    weights = [(out / name / "model.safetensors").read_bytes() for name in (*kept, "medusa")]
    assert weights[0] not in weights[1:]  # training may end with the second one
    for name in kept:
        assert new_drafter(drafter_named("medusa", str(out / name)), target).name
    run_json(*command_line)
    assert sorted(path.name for path in out.glob("medusa-*")) == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--keep-every", "-1"), "keep_every must be >= 0, got -1"),
        (("--text-tokens", "0"), "text_tokens must be >= 1, got 0"),
        (("--rows", "0"), "rows must be >= 1, got 0"),
        (("--greedy-share", "1.5"), "greedy_share 1.5, expected a share"),
        (("--training-tokens", "0"), "training_tokens must be >= 1, got 0"),
        (("--draft-vocabulary", "13"), "must have 1 to 12 tokens, got 13"),
        (("--kind", "small-lm", "--small-layers", "6"), "got small_layers 6, expected 1 to 5"),
        (("--kind", "eagle2"), "eagle2"),
    ],
)
def test_bad_input_ends_with_code_2_and_says_why(capsys, tmp_path, arguments, words):
    chosen = {"--text-tokens": "60", "--rows": "4", "--draft-vocabulary": "9", "--training-tokens": "60"}
    chosen |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    words_given = [word for pair in chosen.items() for word in pair]
    assert main(["train-head", "--out", str(tmp_path), *words_given]) == 2
    captured = capsys.readouterr()
    assert words in captured.err + captured.out


def test_a_checkpoint_of_another_target_is_refused(capsys, tmp_path):
    (tmp_path / "eagle3.pt").write_bytes(b"no checkpoint")
    arguments = ("--text-tokens", "60", "--rows", "4", "--training-tokens", "60")
    assert main(["train-head", "--out", str(tmp_path), *arguments]) == 2
    assert "eagle3.pt is no checkpoint" in capsys.readouterr().err
