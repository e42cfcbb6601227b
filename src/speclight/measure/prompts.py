"""Prompts: the shipped families, and question files in the format of EAGLE and Spec-Bench."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from speclight.errors import InvalidInput

FAMILIES = ("code", "conversation", "maths", "summarisation", "qa")

# What no model takes in is refused before one is loaded: the longest windows hold some ten million tokens.
FILE_BYTES = 256 * 2**20
LINE_CHARACTERS = 16 * 2**20

_EXPECTED_LINE = 'one JSON object per line, {"question_id": int, "category": str, "turns": [str, ...]}'


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of a model: one user turn, or several that wait for the answers in between.

    prompt_id: unique among the prompts of one run. family: the text family results are grouped by.
    turns: the user's turns in order, without chat template. Raises InvalidInput if an id or family is
    blank, or if turns is not a non-empty tuple of non-blank strings that UTF-8 can encode.
    """

    prompt_id: str
    family: str
    turns: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, value in (("prompt_id", self.prompt_id), ("family", self.family)):
            _check_text(name, value)
        if not isinstance(self.turns, tuple) or not self.turns:
            raise InvalidInput(f"turns must be a non-empty tuple of strings, got {_shown(self.turns)}")
        for place, turn in enumerate(self.turns, start=1):
            _check_text(f"turn {place}", turn)


def shipped_prompts(families: Iterable[str] | None = None) -> tuple[Prompt, ...]:
    """The prompts written for this project, 16 per family, in the order of FAMILIES.

    families: the families wanted, all if None. Raises InvalidInput for a name that is not in FAMILIES.
    """
    folder = resources.files("speclight.measure") / "data"
    prompts: list[Prompt] = []
    for family in FAMILIES:
        name = f"{family}.jsonl"
        prompts += _parse((folder / name).read_bytes(), name, family)
    return tuple(prompts) if families is None else select(prompts, families)


def read_prompts(path: str | os.PathLike[str]) -> tuple[Prompt, ...]:
    """The prompts of a question file, in file order; the whole file is checked before any is returned.

    The format is the one EAGLE and Spec-Bench share: JSON lines with `question_id`, `turns` and
    `category`; further keys (such as `reference`) are ignored. The family is the category, or the file's
    stem where the category is missing or blank; the prompt id is `<family>-<question_id>`.
    Raises InvalidInput, naming the file and the 1-based line where there is one, if the file is missing,
    unreadable, longer than FILE_BYTES or a line than LINE_CHARACTERS, not UTF-8, empty, holds a malformed or
    inner blank line, or repeats an id.
    """
    path = Path(path)
    return _parse(_content(path, f"a readable file with {_EXPECTED_LINE}"), str(path), path.stem)


def read_prompt_lines(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The lines of a text file that are not blank, one prompt each, without their line ends.

    Raises InvalidInput if the file is missing, unreadable, too long as in `read_prompts`, or not UTF-8.
    """
    path = Path(path)
    lines = _lines(_content(path, "a readable text file with one prompt on each line"), str(path))
    return tuple(line for line in lines if line.strip())


def select(prompts: Iterable[Prompt], families: Iterable[str]) -> tuple[Prompt, ...]:
    """The prompts of the families named, in the order of `prompts` (not of `families`).

    Raises InvalidInput, listing the families there are, if a name is unknown or none is given.
    """
    prompts = tuple(prompts)
    known = list(dict.fromkeys(prompt.family for prompt in prompts))
    # A lone string would otherwise be taken apart into its letters.
    wanted = [families] if isinstance(families, str) else list(families)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        got = "no family" if not wanted else f"unknown prompt family {', '.join(map(repr, unknown))}"
        raise InvalidInput(f"got {got}; choose at least one of: {', '.join(known)}")
    return tuple(prompt for prompt in prompts if prompt.family in wanted)


def prompts_sha256(prompts: Iterable[Prompt]) -> str:
    """Hex SHA-256 of ids, families and turns in their order: equal exactly if the prompts are equal.

    It hashes the content, not the file, so spacing or ignored keys of the file do not matter.
    """
    content = [[prompt.prompt_id, prompt.family, list(prompt.turns)] for prompt in prompts]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("ascii")).hexdigest()


def _content(path: Path, expected: str) -> bytes:
    try:
        with path.open("rb") as file:  # which may be a pipe, of any length
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"cannot read the prompt file {path}: {error.strerror}; expected {expected}"
        ) from error
    if len(content) > FILE_BYTES:
        raise InvalidInput(
            f"the prompt file {path} has more than {FILE_BYTES:,} bytes, expected {expected}; choose some of "
            "its prompts"
        )
    return content


def _lines(content: bytes, file_name: str) -> list[str]:
    """The lines of a text in UTF-8, a byte order mark left out."""
    try:
        text = content.decode("utf-8-sig")  # editors on Windows put a byte order mark first
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{file_name}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8 text; "
            "save the file as UTF-8"
        ) from error
    # Not splitlines(): it also cuts at U+2028, form feeds and their like, which prompts may hold.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_CHARACTERS:
            raise InvalidInput(
                f"{file_name}, line {number}: {len(line):,} characters, expected at most "
                f"{LINE_CHARACTERS:,}, beyond any context window; give each prompt a line of its own"
            )
    return lines


def _parse(content: bytes, file_name: str, stem: str) -> tuple[Prompt, ...]:
    lines = _lines(content, file_name)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InvalidInput(f"the prompt file {file_name} is empty; expected {_EXPECTED_LINE}")
    prompts: list[Prompt] = []
    line_of_id: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{file_name}, line {number}"
        record = _record(line, where)
        question_id = _question_id(record, where)
        if question_id in line_of_id:
            raise InvalidInput(
                f"{where}: question_id {question_id} was already used on line {line_of_id[question_id]}; "
                "give each prompt an id of its own"
            )
        line_of_id[question_id] = number
        prompts.append(_prompt(record, question_id, stem, where))
    return tuple(prompts)


def _record(line: str, where: str) -> dict[str, object]:
    if not line.strip():
        raise InvalidInput(f"{where}: blank line between prompts; expected {_EXPECTED_LINE}; remove the line")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, or an integer of too many digits
        raise InvalidInput(
            f"{where}: not JSON ({error}), got {_shown(line)}; expected {_EXPECTED_LINE}; "
            "correct or remove the line"
        ) from error
    if not isinstance(record, dict):
        raise InvalidInput(
            f"{where}: got {_shown(record)}; expected {_EXPECTED_LINE}; correct or remove the line"
        )
    return record


def _question_id(record: dict[str, object], where: str) -> int:
    question_id = record.get("question_id")
    if not isinstance(question_id, int) or isinstance(question_id, bool):
        got = _shown(question_id) if "question_id" in record else "no such key"
        raise InvalidInput(f'{where}: "question_id" must be an integer, got {got}; number the prompts')
    return question_id


def _prompt(record: dict[str, object], question_id: int, stem: str, where: str) -> Prompt:
    category = record.get("category", "")
    if not isinstance(category, str):
        raise InvalidInput(
            f'{where}: "category" must be a string, got {_shown(category)}; '
            "leave it out to use the file's name as the family"
        )
    turns = record.get("turns")
    if not isinstance(turns, list) or not turns:
        got = _shown(turns) if "turns" in record else "no such key"
        raise InvalidInput(
            f'{where}: "turns" must be a non-empty list of strings, got {got}; give the user\'s turns'
        )
    family = category.strip() or stem
    try:
        return Prompt(f"{family}-{question_id}", family, tuple(turns))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(
            f"{name} must be a string that is not blank, got {_shown(text)}; fill it in or remove it"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} holds half a surrogate pair at character {error.start}, got {_shown(text)}; "
            "write the whole character"
        ) from error


def _shown(value: object) -> str:
    """A value as it may stand in an error message: escaped, and cut where it is long."""
    if isinstance(value, (list, tuple, dict)):  # may be nested too deeply to be printed
        return f"{type(value).__name__} of length {len(value)}"
    shown = ascii(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
