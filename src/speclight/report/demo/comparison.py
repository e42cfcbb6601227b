"""Two runs side by side: as a page with CSV files, and as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding

from speclight.experiments.demo.comparison import Comparison, Difference
from speclight.report.demo.terminal import printable_text, terminal_columns
from speclight.report.number_format import ratio, significant, told_difference
from speclight.report.page.environment import page_environment, utf8
from speclight.report.table import Cell, Column, Table, estimate, words
from speclight.writing import write_whole


@dataclass(frozen=True, slots=True)
class ToldDifferences:
    """The comparison in words. left_out: settings of one run alone."""

    statement: str
    sentences: tuple[str, ...]
    left_out: tuple[str, ...]


def write_comparison(comparison: Comparison, names: tuple[str, str], folder: Path) -> Path:
    """Write comparison.html and tables/ (CSV) into folder and return the page's path. names: of the two runs.

    As self-contained and escaped as the report. Raises StorageError if a file cannot be written.
    """
    both = (_differences(comparison, names), _circumstances(comparison, names))
    for table in both:
        write_whole(folder / "tables" / f"{table.name}.csv", utf8(table.csv()))
    page = (
        page_environment("speclight.report.demo")
        .get_template("comparison.html.j2")
        .render(names=names, told=told_differences(comparison), tables={table.name: table for table in both})
    )
    return write_whole(folder / "comparison.html", utf8(page))


def terminal_comparison(comparison: Comparison, names: tuple[str, str]) -> RenderableType:
    """The same for a terminal."""
    told = told_differences(comparison)
    parts: list[RenderableType] = [printable_text(told.statement, "bold")]
    parts += [printable_text(sentence) for sentence in (*told.sentences, *told.left_out)]
    for table in (_differences(comparison, names), _circumstances(comparison, names)):
        if table.rows:
            keys = tuple(column.key for _, column in table.shown)
            parts.append(Padding(terminal_columns(table, keys, with_notes=("change",)), (1, 0, 0, 0)))
    return Group(*parts)


def told_differences(comparison: Comparison) -> ToldDifferences:
    """Which changes are told apart from none, the largest statement first."""
    apart = [item for item in comparison.differences if item.direction != "not decided"]
    if not comparison.differences:
        statement = "The two runs have no setting in common."
    elif not apart:
        statement = "No difference between the two runs is told apart from none."
    else:
        statement = f"In {len(apart)} of {len(comparison.differences)} quantities the two runs differ."
    return ToldDifferences(
        statement=statement,
        sentences=tuple(
            f"{item.quantity.capitalize()} ({item.setting}): {item.direction}, {_change(item).text} "
            f"({_change(item).note})."
            for item in apart
        ),
        left_out=tuple(
            f"In the {which} run only: {', '.join(settings)}."
            for which, settings in (("first", comparison.only_first), ("second", comparison.only_second))
            if settings
        ),
    )


def _differences(comparison: Comparison, names: Sequence[str]) -> Table:
    return Table(
        "differences",
        f"{names[1]} against {names[0]}",
        (
            Column("quantity", "Quantity"),
            Column("setting", "Setting", is_text=True),
            Column("first", "first"),
            Column("second", "second"),
            Column("change", "Change"),
            Column("direction", "Second run is", is_text=True),
            Column("paired", "Paired", is_text=True),
        ),
        tuple(
            (
                words(item.quantity),
                words(item.setting),
                estimate(item.first),
                estimate(item.second),
                _change(item),
                words(item.direction),
                words("yes" if item.is_paired else "no"),
            )
            for item in comparison.differences
        ),
    )


def _change(item: Difference) -> Cell:
    """A difference with its sign, or a ratio with its cross."""
    change = item.change
    text = ratio(change.value) if item.is_ratio else _signed(change.value)
    return Cell(change.value, text, told_difference(change) or "no interval", change.low, change.high)


def _signed(value: float) -> str:
    return f"+{significant(value)}" if value > 0.0 else significant(value)


def _circumstances(comparison: Comparison, names: Sequence[str]) -> Table:
    return Table(
        "circumstances",
        "What differs in how the runs were made",
        (
            Column("name", "What"),
            Column("first", names[0], is_text=True),
            Column("second", names[1], is_text=True),
        ),
        tuple((words(item.name), words(item.first), words(item.second)) for item in comparison.circumstances),
    )
