"""Tables as CSV: exact numbers, intervals in columns of their own, and no formula from a stranger's text."""

from __future__ import annotations

import csv
from io import StringIO
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.measure.estimates import Estimate
from speclight.report.table import (
    Cell,
    Column,
    Table,
    count,
    estimate,
    missing,
    number,
    share_estimate,
    with_error,
    words,
)

SOME = Estimate(1.23456789, 0.1, 1.0, 1.5, 12)


def rows_of(table: Table) -> list[list[str]]:
    return list(csv.reader(StringIO(table.csv(), newline="")))


def test_numbers_are_exact_and_intervals_have_columns():
    table = Table(
        "some",
        "Some",
        (Column("name", "Name"), Column("value", "Value"), Column("calls", "Calls", is_shown=False)),
        ((words("a"), estimate(SOME), count(1234)), (words("b"), missing(), count(None))),
    )
    assert rows_of(table) == [
        ["name", "value", "value_low", "value_high", "calls"],
        ["a", "1.23456789", "1.0", "1.5", "1234"],
        ["b", "", "", "", ""],
    ]
    assert [column.key for _, column in table.shown] == ["name", "value"]


def test_groups_span_shown_columns():
    columns = (
        Column("a", "A"),
        Column("b", "B", "G"),
        Column("hidden", is_shown=False),
        Column("c", "C", "G"),
        Column("d", "D"),
    )
    table = Table("some", "Some", columns, ())
    assert table.head_groups == [("", 1), ("G", 2), ("", 1)]
    assert table.group_starts == [1, 4]


@given(st.text())
def test_text_survives_and_starts_no_formula(text):
    table = Table("some", "Some", (Column("name", "Name"), Column("value")), ((words(text), number(-1.5)),))
    (_, (name, value)) = rows_of(table)
    assert value == "-1.5"  # a number may be negative
    if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        assert name == f"'{text}"
    else:
        assert name == text


@pytest.mark.parametrize("value", [None, nan, inf])
def test_what_was_not_measured_is_empty_and_a_dash(value):
    cell = number(value)
    assert (cell.text, cell.sort_key) == ("–", "")


def test_notes_are_intervals_errors_or_that_prompts_are_too_few():
    assert estimate(SOME).note == "1.00 to 1.50"
    few = Estimate(1.2, 0.1, 1.0, 8.0, 3)
    assert estimate(few).note == "too few to say"
    assert estimate(few).high == 8.0  # the file tells it all the same
    assert with_error(SOME).note == "± 0.10"
    assert share_estimate(Estimate(0.5, 0.1, 0.4, 0.6, 9)).note == "40.0 to 60.0"
    assert share_estimate(Estimate(0.5, 0.1, 0.4, 0.6, 9)).low == 0.4


def test_a_cell_of_only_an_upper_limit_has_both_columns():
    table = Table("some", "Some", (Column("most", "Most"),), ((Cell(2.0, "2.00", "≤ 2.10", high=2.1),),))
    assert rows_of(table) == [["most", "most_low", "most_high"], ["2.0", "", "2.1"]]
