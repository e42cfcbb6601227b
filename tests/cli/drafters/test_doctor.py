"""`speclight doctor` on a toy target and heads written in the test."""

import json

import pytest
import torch

from speclight.cli.drafters import doctor as command
from speclight.cli.main import main
from speclight.drafting.eagle3.saving import save_head
from speclight.training.head_start import blank_head
from toys import as_target, tiny_llama

VOCABULARY = 12
FEW = ("--prompts", "6", "--max-tokens", "4")


def toy(vocabulary=VOCABULARY, window=512):
    target = as_target(tiny_llama(vocabulary, layers=8, window=window))
    target.model.float()
    return target


@pytest.fixture(scope="module")
def target():
    return toy()


@pytest.fixture(autouse=True)
def loads_the_toy(runs_on, target):
    runs_on(target, command)


def written_head(folder, target, template=None):
    torch.manual_seed(0)
    network = blank_head(target, 9)
    tensors = {name: weight for name, weight in network.state_dict().items() if "embed_tokens" not in name}
    recorded = target.tokenizer.chat_template if template is None else template
    save_head(folder, network, tensors, torch.arange(1, 10), recorded, torch.float32)
    return folder


def exit_code(*arguments):
    """Of a command that may leave by itself."""
    try:
        return main(["doctor", *arguments])
    except SystemExit as left:
        return left.code


def run(capsys, folder, *arguments):
    """The JSON document and what people saw; the exit code is the verdict's."""
    code = exit_code(str(folder), *FEW, *arguments, "--json")
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    document = json.loads(captured.out)
    kinds = {"no fault": 0, "wrong": 1, "cannot be read": 2}
    assert code == next(kinds[kind] for kind in kinds if document["verdict"].startswith(kind))
    return document, captured.err


def test_conventions_readings_and_verdict_are_shown(capsys, target, tmp_path):
    document, shown = run(capsys, written_head(tmp_path, target))
    names = [finding["name"] for finding in document["findings"]]
    assert {"layers (1, 3, 4)", "layers (3, 5, 6)", "fc blocks for layers 5, 4, 2"} <= set(names)
    assert {"layers (0, 2, 3)", "layers (4, 6, 7)", "layers (5, 7, 8)"} <= set(names)
    assert document["readings"] == len(names)
    # A head that was never trained: whether another reading happens to be better is for the test to say.
    better = any(finding["is_better"] for finding in document["findings"])
    expected = "wrong convention" if better else f"none of {len(names)} other readings was better"
    assert expected in document["verdict"]
    acceptances = [finding["acceptance"] for finding in document["findings"]]
    assert acceptances == sorted(acceptances, reverse=True)
    assert 0.0 < document["acceptance"] < 1.0
    assert 0.0 < document["miss_probability"] < 1.0
    assert document["template_differs"] is False
    assert document["template_gain"] is None
    assert shown.rstrip().endswith(document["verdict"])
    for words in (*names, *document["lines"], "eps"):
        assert words in shown
    again, _ = run(capsys, tmp_path)
    assert again == document
    other, _ = run(capsys, tmp_path, "--seed", "1")
    assert other["acceptance"] != document["acceptance"]


def test_a_head_that_cannot_be_read_gets_a_verdict(capsys, target, tmp_path):
    weights = written_head(tmp_path, target) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    document, shown = run(capsys, tmp_path)
    assert document["verdict"].startswith("cannot be read: ")
    assert document["findings"] == []
    assert document["verdict"] in shown


def test_a_recorded_template_that_writes_otherwise_is_seen(capsys, target, tmp_path):
    folder = written_head(tmp_path, target, template="t5 {{ messages[0]['content'] }} t6 t7")
    document, _ = run(capsys, folder)
    assert document["verdict"].startswith("wrong")
    assert document["template_differs"] is True
    assert isinstance(document["template_gain"], float)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prompts", "5"), "--prompts must be at least 6 for the test to have power, got 5"),
        (("--prompts", "65"), "--prompts must be at most 64, got 65"),
        (("--max-tokens", "0"), "--max-tokens must be at least 1, got 0"),
        (("--max-tokens", "512"), "do not fit the context window"),
    ],
)
def test_bad_options_end_with_code_2_and_say_why(capsys, target, tmp_path, arguments, words):
    written_head(tmp_path, target)
    given = dict(zip(FEW[::2], FEW[1::2], strict=True)) | {arguments[0]: arguments[1]}
    assert main(["doctor", str(tmp_path), *(word for pair in given.items() for word in pair)]) == 2
    assert words in capsys.readouterr().err


def test_no_head_and_heads_for_other_targets_end_with_code_2(capsys, target, tmp_path):
    assert main(["doctor", str(tmp_path / "nothing"), *FEW]) == 2
    assert "nothing" in capsys.readouterr().err
    assert main(["doctor", *FEW]) == 2
    assert "the shipped head is for" in capsys.readouterr().err
    assert main(["doctor", str(written_head(tmp_path, toy(vocabulary=20))), *FEW]) == 2
    assert "toy" in capsys.readouterr().err
