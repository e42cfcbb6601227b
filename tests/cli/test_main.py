import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import get_type_hints

import pytest

from cases import thinned
from speclight import __version__
from speclight.cli import main as cli
from speclight.cli.flags import FLAGS, NOT_FLAGS
from speclight.errors import InvalidInput

# Every command by the words that call it.
COMMANDS = {(name,): function for group in cli.COMMANDS.values() for name, function in group.items()} | {
    ("experiment", name): function for name, function in cli.EXPERIMENTS.items()
}
SCRIPT = Path(sys.executable).parent / "speclight"
Replaced = Callable[[Callable[[], None]], None]


def options_class(function: Callable[..., None]) -> type:
    *positional, options = signature(function).parameters.values()
    several = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
    assert all(parameter.kind in several for parameter in positional)
    return get_type_hints(function, include_extras=False)[options.name]


def option_names(options: type) -> set[str]:
    """The flags of an options class, those of nested options classes included."""
    hints = get_type_hints(options)
    given_by_programs = set(NOT_FLAGS)
    names: set[str] = set()
    for field in dataclasses.fields(options):
        nested = hints[field.name]
        names |= option_names(nested) if dataclasses.is_dataclass(nested) else {field.name}
    return names - given_by_programs


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_lists_every_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert cli.main(["experiment", "--help"]) == 0
    experiments = capsys.readouterr().out
    for words, function in COMMANDS.items():
        first_words = " ".join((function.__doc__ or "").split()[:3])
        assert f"│ {words[-1]} " in (experiments if words[0] == "experiment" else out)
        assert first_words in (experiments if words[0] == "experiment" else out)
    assert [title for title in cli.COMMANDS if f"─ {title} ─" in out] == list(cli.COMMANDS)


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speclight", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{__version__}\n"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_flags_come_from_one_frozen_dataclass_and_are_all_described(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    options = options_class(COMMANDS[words])
    assert dataclasses.is_dataclass(options)
    assert options.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    assert cli.main([*words, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--empty-" not in out
    assert not {"()", "False", "None"} & set(re.findall(r"\[default: ([^]]*)\]", out))  # which say nothing
    assert "\N{HORIZONTAL ELLIPSIS}" not in out  # nothing is cut
    assert f"\n {' '.join(['speclight', *words])}" in out  # an example
    for option in option_names(options):
        assert f" --{FLAGS.name_transform(option)} " in out
    assert "--json" in out


def test_defaults_are_shown_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "--help"]) == 0
    words = re.sub(r"[\s│]+", " ", capsys.readouterr().out)  # a default may go on in the next line
    assert "[default: 4,8,16,32,64]" in words


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bond"], '"bound"'),
        (["--nonsense"], "--nonsense"),
        (["bound"], "--budget"),
        (["bound", "--mu", "x", "--mu2", "1", "--budget", "8"], '"x"'),
        (["bound", "--mu", "1", "--mu2", "1", "--budget", "8", "--depth", "3"], "--depth"),
        (["bound", "--mu", "1", "--mu2", "1", "--budget", "8", "rest"], "rest"),
        (["cache", "empty"], '"clear"'),
    ],
)
def test_usage_errors_exit_2_and_say_where_help_is(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("speclight: error: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert "--help` lists what is expected" in captured.err


def test_input_errors_exit_2_with_their_message(
    bound_does: Replaced, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise InvalidInput("got this, expected that; do so")

    bound_does(refuse)
    assert cli.main(["bound"]) == 2
    assert capsys.readouterr().err == "speclight: error: got this, expected that; do so\n"


def test_interrupt_exits_130(bound_does: Replaced, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    bound_does(interrupted)
    assert cli.main(["bound"]) == 130
    assert capsys.readouterr().err == "speclight: interrupted\n"


def test_bugs_keep_their_traceback(bound_does: Replaced) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    bound_does(broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["bound"])


def test_installed_command_reports_bad_input() -> None:
    arguments = ["bound", "--mu", "-1", "--mu2", "1", "--budget", "8", "--json"]
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("speclight: error: mu")


@pytest.mark.parametrize(
    "arguments",
    thinned([["bound", "--mu", "1", "--mu2", "1", "--budget", "8"], ["--help"], ["cache", "--json"]]),
    ids=["tables", "help", "json"],
)
def test_closed_stdout_is_no_bug(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([SCRIPT, *arguments], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_message_that_names_an_argument_is_shown_with_its_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing() -> None:
        raise InvalidInput("texts are short; profile longer ones (max_tokens)", argument="max_tokens")

    monkeypatch.setattr(cli, "command_app", lambda: lambda *_, **__: refusing())
    assert cli.main(["oracle"]) == 2
    assert capsys.readouterr().err.endswith("longer ones (max_tokens) (the flag is --max-tokens)\n")


def test_a_closed_stdout_is_said_before_any_work(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["cache"]) == 2
    assert "stdout is closed" in capsys.readouterr().err


def test_a_full_disk_behind_stdout_is_no_traceback(tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        environment = {**os.environ, "SPECLIGHT_CACHE": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "speclight", "cache"],
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("speclight: error: stdout cannot be written")
    assert "Traceback" not in done.stderr
