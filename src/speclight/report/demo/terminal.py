"""The report as tables for a terminal, for people; programs read report.json."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from speclight.experiments.demo.record import DemoRecord
from speclight.report.demo.page_text import (
    alarms,
    headline_text,
    load_warning,
    speed_limit_text,
)
from speclight.report.demo.tables import decoding_table, families_table
from speclight.report.table import Table as ReportTable

# What fits into 80 columns, by the columns' names.
_FAMILIES = ("family", "limit_uniform_p", "limit_call_starts", "drafter_call_starts", "share_of_limit")
_DECODING = ("drafter", "temperature", "prompts", "tokens_per_call", "speed_up", "drafted_tokens", "looping")
_SLOWER = "bold yellow"


def terminal_table(record: DemoRecord) -> RenderableType:
    """The headline in words and a row per family. Names from the record are shown, never interpreted."""
    headline = headline_text(record)
    parts: list[RenderableType] = [
        printable_text(record.target, "dim"),
        printable_text(headline.statement, "bold"),
        printable_text(f"{headline.verdict}. {headline.speed}", _SLOWER if headline.is_slower else ""),
        *([printable_text(headline.elsewhere)] if headline.elsewhere else []),
        printable_text(headline.calls),
        printable_text(headline.budget),
        printable_text(headline.share),
        printable_text(speed_limit_text(record.speed_limit, record.headline.drafter)),
        printable_text(f"The drafter: {headline.choice}"),
    ]
    shared = load_warning(record.load)
    if shared is not None:
        parts.append(printable_text(shared, "bold yellow"))
    parts += [printable_text(warning, "bold red") for warning in alarms(record)]
    parts.append(Padding(terminal_columns(families_table(record), _FAMILIES), (1, 0, 0, 0)))
    if record.overall:
        everything = decoding_table(record, record.overall, "decoding", "All families together")
        parts.append(Padding(terminal_columns(everything, _DECODING, with_notes=("speed_up",)), (1, 0, 0, 0)))
    return Group(*parts)


def terminal_columns(table: ReportTable, keys: tuple[str, ...], with_notes: tuple[str, ...] = ()) -> Table:
    """The columns whose names begin with one of the keys; notes for those named, values alone elsewhere."""
    shown = Table(box=None, pad_edge=False, title_justify="left", title=printable_text(table.caption))
    places = [place for place, column in table.shown if column.key.startswith(keys)]
    for place in places:
        column = table.columns[place]
        label = column.label if not column.key.startswith("limit_uniform") else f"limit, {column.label}"
        shown.add_column(printable_text(label), justify="left" if place == 0 else "right")
    for row in table.rows:
        cells: list[Text] = []
        for place in places:
            cell, key = row[place], table.columns[place].key
            words = f"{cell.text} {cell.note}" if key in with_notes else cell.text
            cells.append(printable_text(words, _SLOWER if cell.is_bad else "bold" if place == 0 else ""))
        shown.add_row(*cells)
    return shown


def printable_text(words: str, style: str = "") -> Text:
    """Words as they are: a name can neither style nor steer the terminal."""
    return Text(_printable(words), style)


def _printable(words: str) -> str:
    """Words without control characters: an escape sequence in a family's name would reach the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
