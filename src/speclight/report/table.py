"""A table that is shown on a page and saved as CSV: one source for what is read and what is computed with."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from itertools import groupby, pairwise
from math import isfinite
from typing import TypeAlias

from speclight.measure.estimates import Estimate
from speclight.report.number_format import (
    NOT_MEASURED,
    percent,
    significant,
    standard_error,
    told_difference,
    told_interval,
    whole,
)

Value: TypeAlias = "str | float | int | None"
# A spreadsheet takes text that begins so for a formula; an apostrophe in front makes it text again.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. key: its name in the CSV file. label: its head. group: the head above that, if any.

    is_shown: False for what only the CSV file tells. is_text: words, which begin at the left. about: the
    definition in the page that its numbers lead to; empty where there is none.
    """

    key: str
    label: str = ""
    group: str = ""
    is_shown: bool = True
    is_text: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. value: the number or text itself, None for what was not measured. text: as it is shown.

    note: a second, smaller line. low, high: 95% interval. is_bad: whether the note is an alarm.
    """

    value: Value
    text: str
    note: str = ""
    low: float | None = None
    high: float | None = None
    is_bad: bool = False

    @property
    def shown(self) -> str:
        """The text, and a note in brackets behind it: the cell in one line."""
        return f"{self.text} ({self.note})" if self.note else self.text

    @property
    def is_known(self) -> bool:
        """Whether there is something that was measured."""
        return self.value is not None

    @property
    def has_end(self) -> bool:
        """Whether either end of an interval is known."""
        return self.low is not None or self.high is not None

    @property
    def sort_key(self) -> str:
        """The value for a script that sorts: exact, and empty for what was not measured."""
        return _plain(self.value)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a name of its own; the first column heads the rows.

    name: of the element in the page and of the CSV file, lower case. rows: as many cells each as columns.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def shown(self) -> list[tuple[int, Column]]:
        """The columns that a page shows, with their places."""
        return [(place, column) for place, column in enumerate(self.columns) if column.is_shown]

    @property
    def head_groups(self) -> list[tuple[str, int]]:
        """The heads above the heads, each with the number of shown columns it spans; "" for none."""
        return [(name, len(list(of))) for name, of in groupby(self.shown, lambda item: item[1].group)]

    @property
    def group_starts(self) -> list[int]:
        """Places of the shown columns that begin a group, or follow one."""
        shown = self.shown
        return [place for (_, before), (place, column) in pairwise(shown) if column.group != before.group]

    def csv(self) -> str:
        """The table as CSV (RFC 4180) with exact numbers, and the ends of intervals in columns of their own.

        Text that a spreadsheet would take for a formula begins with an apostrophe.
        """
        has_ends = [any(row[place].has_end for row in self.rows) for place in range(len(self.columns))]
        heads: list[str] = []
        for column, ends in zip(self.columns, has_ends, strict=True):
            heads += [column.key, *([f"{column.key}_low", f"{column.key}_high"] if ends else [])]
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow(heads)
        for row in self.rows:
            cells: list[str] = []
            for cell, ends in zip(row, has_ends, strict=True):
                cells += [_safe(cell.value), *([_plain(cell.low), _plain(cell.high)] if ends else [])]
            writer.writerow(cells)
        return text.getvalue()


def words(text: str, note: str = "") -> Cell:
    """A cell of text."""
    return Cell(text, text, note)


def number(value: float | None, note: str = "") -> Cell:
    """A cell of one number without an interval."""
    return Cell(value, significant(value), note)


def count(value: int | None, note: str = "") -> Cell:
    """A cell of a whole number."""
    return Cell(value, whole(value), note)


def share(value: float | None) -> Cell:
    """A cell of a share (0 to 1), shown as a percentage."""
    return Cell(value, percent(value))


def estimate(value: Estimate | None) -> Cell:
    """A cell of an estimate above its 95% interval, or above what too few prompts say instead."""
    if value is None:
        return missing()
    return Cell(value.value, significant(value.value), told_interval(value) or "", value.low, value.high)


def difference(value: Estimate | None) -> Cell:
    """The same of a difference, which may be nought: an interval wider than it is says that."""
    if value is None:
        return missing()
    return Cell(value.value, significant(value.value), told_difference(value) or "", value.low, value.high)


def share_estimate(value: Estimate) -> Cell:
    """The same of a share (0 to 1), shown as a percentage."""
    ends = _times(value.low, 100.0), _times(value.high, 100.0)
    hundred = Estimate(100.0 * value.value, None, *ends, value.clusters)
    return Cell(value.value, percent(value.value), told_interval(hundred) or "", value.low, value.high)


def with_error(value: Estimate | None) -> Cell:
    """A cell of an estimate above its standard error; the CSV file has the interval."""
    if value is None:
        return missing()
    error = standard_error(value)
    note = f"± {error}" if error else "no error from one prompt"
    return Cell(value.value, significant(value.value), note, value.low, value.high)


def missing() -> Cell:
    """A cell of what was not measured."""
    return Cell(None, NOT_MEASURED)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _plain(value: Value) -> str:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _safe(value: Value) -> str:
    text = _plain(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text
