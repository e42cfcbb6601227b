"""A Markdown table: the one form in which every experiment writes its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as lines without a closing line feed; a bar inside a cell is escaped.

    heads: one per column. rows: as many cells each.
    """
    lines = [_line(heads), "|---" * len(heads) + "|"]
    lines += [_line(row) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
