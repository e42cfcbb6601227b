"""What the tests of commands share: a toy in the target's place, a file of questions, one document read."""

import json

import pytest

from speclight.cli import main as cli
from speclight.cli.main import main

FAMILIES = ("code", "qa")


@pytest.fixture
def prompts(tmp_path):
    """A file of six questions in the toys' words, three of each family."""
    lines = [
        {"question_id": 10 * place + number, "category": family, "turns": [f"t{number} t2 t{number} t3"]}
        for place, family in enumerate(FAMILIES)
        for number in range(3)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def runs_on(monkeypatch):
    """runs_on(target, command, ...): these command modules find it in place of any target they load."""

    def run_on(target, *commands):
        for command in commands:
            monkeypatch.setattr(command, "load_target", lambda options: target)

    return run_on


@pytest.fixture
def bound_does(monkeypatch):
    """bound_does(function): the command `bound` is this function, in a command line made for the test."""

    monkeypatch.setattr(cli, "command_app", cli.command_app.__wrapped__)  # which keeps nothing

    def do(function):
        monkeypatch.setitem(cli.COMMANDS["How far from the limit"], "bound", function)

    return do


@pytest.fixture
def run_json(capsys):
    """run_json(arguments ...): a command's document, its one line on stdout, and what went to stderr."""

    def run(*arguments):
        assert main([*arguments, "--json"]) == 0
        captured = capsys.readouterr()
        (line,) = captured.out.splitlines()
        document = json.loads(line)
        assert document["schema"] == 2
        return document, captured.err

    return run
