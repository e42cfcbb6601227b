"""A Markdown table: the one form in which every experiment writes its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from speclight.report.table import Table


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as lines without a closing line feed; a bar inside a cell is escaped.

    heads: one per column. rows: as many cells each.
    """
    lines = [_line(heads), "|---" * len(heads) + "|"]
    lines += [_line(row) for row in rows]
    return "\n".join(lines)


def markdown_of(table: Table) -> str:
    """A table of ours: its shown columns, group before head, notes in brackets behind the value."""
    places = [place for place, _ in table.shown]
    heads = [f"{column.group}: {column.label}" if column.group else column.label for _, column in table.shown]
    return markdown_table(heads, ([row[place].shown for place in places] for row in table.rows))


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
