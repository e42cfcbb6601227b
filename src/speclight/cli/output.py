"""What commands write: tables and text for people, one line of JSON for programs.

With --json, stdout carries exactly that line and everything else goes to stderr.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from speclight.writing import write_whole

if TYPE_CHECKING:
    from rich.console import RenderableType

JSON_SCHEMA = 2
# Width of tables written to a file or a pipe, where there is no window to fit.
UNBOUNDED_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Output:
    """The two channels of a running command.

    for_people: stdout, or stderr when stdout is reserved for JSON. for_programs: the real stdout.
    """

    for_people: TextIO
    for_programs: TextIO

    def show(self, *renderables: RenderableType) -> None:
        """Write tables, or strings as they are (no markup: they may hold names and text of models)."""
        from rich.console import Console

        width = None if self.for_people.isatty() else UNBOUNDED_WIDTH
        console = Console(file=self.for_people, width=width, markup=False, highlight=False)
        for renderable in renderables:
            console.print(renderable, soft_wrap=isinstance(renderable, str))

    def stream(self, text: str) -> None:
        """Write a piece of plain text for people at once, without a line end."""
        self.for_people.write(text)
        self.for_people.flush()

    def write_json(self, document: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
        """Write the document as one line on the real stdout, after everything shown so far.

        Characters are escaped where stdout is not UTF-8: JSON is read alike either way.
        """
        line = json_line(document)
        if codecs.lookup(self.for_programs.encoding or "utf-8").name != "utf-8":
            line = json.dumps(json.loads(line))
        self.for_people.flush()
        self.for_programs.write(line + "\n")
        self.for_programs.flush()


@contextmanager
def command_output(as_json: bool) -> Iterator[Output]:
    """The channels of a command; with `as_json`, prints by any library go to stderr for its duration."""
    if not as_json:
        yield Output(for_people=sys.stdout, for_programs=sys.stdout)
        return
    reserved = sys.stdout
    with redirect_stdout(sys.stderr):
        yield Output(for_people=sys.stderr, for_programs=reserved)


def json_line(document: Mapping[str, object] | Sequence[Mapping[str, object]]) -> str:
    """The document as strict JSON without line breaks, led by `"schema": 2`; NaN and infinities are null.

    document: one object, or several (each then carries the schema). Values: JSON types, numpy scalars and
    arrays, paths. Raises TypeError for anything else.
    """
    if isinstance(document, Mapping):
        checked: object = {"schema": JSON_SCHEMA, **_json_object(document)}
    else:
        checked = [{"schema": JSON_SCHEMA, **_json_object(item)} for item in document]
    return json.dumps(checked, allow_nan=False, ensure_ascii=False)


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Write the document as `json_line` says it into a file. Raises StorageError if it cannot be written."""
    write_whole(path, (json_line(document) + "\n").encode())


def write_tables(folder: Path, tables: str) -> None:
    """Write Markdown tables to tables.md, beside the records. Raises StorageError if they cannot be."""
    write_whole(folder / "tables.md", (tables + "\n").encode())


def _json_object(mapping: Mapping[str, object]) -> dict[str, object]:
    return {str(key): _json_value(value) for key, value in mapping.items()}


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, Mapping):
        return _json_object(value)
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    to_list = getattr(value, "tolist", None)  # numpy scalars and arrays, without importing numpy
    if to_list is None:
        raise TypeError(f"a {type(value).__name__} has no JSON form: {value!r}")
    return _json_value(to_list())
