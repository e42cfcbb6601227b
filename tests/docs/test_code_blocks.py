"""README and documentation are true: their Python runs as printed, their commands exist."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from speclight.cli.main import command_app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[!_]*/*.md")), ROOT / "docs" / "index.md"]
# A fenced block with its language, and what it prints where a block of plain text says so right behind it.
PYTHON = re.compile(r"```python\n(.*?)```(?:\n+It prints\n\n```text\n(.*?)```)?", flags=re.DOTALL)
LOADS = "speclight.load()"
COMMAND_LINE = re.compile(r"^ *(speclight (?:.*\\\n)*.*)$", flags=re.MULTILINE)
NAMED_COMMAND = re.compile(r"`speclight ((?:[a-z][a-z-]* ?)+)")


def python_blocks() -> list[ParameterSet]:
    """Each block once, in whichever pages it stands; the default target's, after the first, are slow."""
    found: dict[tuple[str, str], ParameterSet] = {}
    for page in PAGES:
        for number, match in enumerate(PYTHON.finditer(page.read_text(encoding="utf-8")), 1):
            if (match[1], match[2]) in found:
                continue
            marks = [pytest.mark.model] if LOADS in match[1] else []
            if marks and any(LOADS in source for source, _ in found):
                marks.append(pytest.mark.slow)
            name = f"{page.relative_to(ROOT)}:{number}"
            found[match[1], match[2]] = pytest.param(match[1], match[2], id=name, marks=marks)
    return list(found.values())


def command_lines() -> list[str]:
    """Whole command lines in code blocks, fenced or indented."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        blocks = [block for language, block in fenced if not language]
        blocks += re.findall(r"^(?: {4,}.*\n)+", text, flags=re.MULTILINE)
        found += [line for block in blocks for line in COMMAND_LINE.findall(block)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("source", "printed"), python_blocks())
def test_a_python_block_runs_and_prints_what_stands_below_it(
    source: str,
    printed: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
):
    monkeypatch.chdir(tmp_path)
    if LOADS in source:
        request.getfixturevalue("loaded_once")
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        exec(compile(source, "block", "exec"), {"__name__": "__main__"})
    if printed is not None:
        assert stdout.getvalue() == printed


@pytest.mark.usefixtures("toy_loaded")
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(block.values[0], id=block.id)
        for block in python_blocks()
        if pytest.mark.slow in block.marks
    ],
)
def test_a_python_block_runs_on_a_toy(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, "block", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_is_understood(line: str):
    _, *words = shlex.split(line.replace("\\\n", " "), comments=True)
    command_app().parse_args(words, exit_on_error=False, print_error=False)


def test_every_command_named_in_a_sentence_exists():
    app = command_app()
    for page in PAGES:
        if page.name == "lab_log.md":  # its entries are not rewritten when a command moves
            continue
        for words in NAMED_COMMAND.findall(page.read_text(encoding="utf-8")):
            node = app
            for word in words.split():
                if word not in node:
                    break
                node = node[word]
            assert node is not app, f"{page.relative_to(ROOT)} names speclight {words}"


def test_there_is_something_to_test():
    assert len(python_blocks()) >= 6
    assert len(command_lines()) >= 15
