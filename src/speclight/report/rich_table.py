"""A table of ours as Rich shows it on a terminal."""

from __future__ import annotations

from rich.table import Table as RichTable

from speclight.report.table import Table


def rich_table(table: Table) -> RichTable:
    """Every column, notes in brackets behind the value; words begin at the left, numbers end at the right."""
    shown = RichTable(title=table.caption, title_justify="left")
    for column in table.columns:
        head = f"{column.group}\n{column.label}" if column.group else column.label
        shown.add_column(head, justify="left" if column.is_text else "right", no_wrap=column.is_text)
    for row in table.rows:
        shown.add_row(*(cell.shown for cell in row))
    return shown
