"""The report as tables for a terminal, for people; programs read report.json."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from speclight.experiments.demo.record import DecodingSummary, DemoRecord
from speclight.measure.estimates import Estimate
from speclight.report.demo.overview import FamilyOverview, overview
from speclight.report.demo.page_text import divergence_warning, headline_text, load_warning, speed_limit_text
from speclight.report.demo.selection import TABLE_BUDGETS, at_budget
from speclight.report.number_format import NOT_MEASURED, percent, ratio, significant, standard_error

_SLOWER = "bold yellow"


def terminal_table(record: DemoRecord) -> RenderableType:
    """The headline in words and a row per family. Names from the record are shown, never interpreted."""
    headline = headline_text(record.headline)
    parts: list[RenderableType] = [
        _plain_text(record.target, "dim"),
        _plain_text(headline.statement, "bold"),
        _plain_text(headline.detail),
        _plain_text(speed_limit_text(record.speed_limit, record.headline.drafter)),
        _plain_text(f"The drafter: {headline.choice}"),
        _plain_text(f"{headline.verdict}. {headline.speed}", _SLOWER if headline.is_slower else ""),
    ]
    shared = load_warning(record.load)
    if shared is not None:
        parts.append(_plain_text(shared, "bold yellow"))
    warning = divergence_warning(record)
    if warning is not None:
        parts.append(_plain_text(warning, "bold red"))
    parts.append(Padding(_limits_table(record), (1, 0, 0, 0)))
    parts.append(Padding(_decoding_table(record), (1, 0, 0, 0)))
    return Group(*parts)


def _limits_table(record: DemoRecord) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left", title="Target (nats, ± standard error)")
    table.add_column("family")
    table.add_column("μ", justify="right")
    table.add_column("μ₂", justify="right")
    for budget in TABLE_BUDGETS:
        table.add_column(f"oracle P={budget}", justify="right")
    for family in overview(record).families:
        table.add_row(
            _plain_text(family.family, "bold"),
            _with_error(family.profile.full_mu if family.profile else None),
            _with_error(family.profile.full_mu2 if family.profile else None),
            *(_oracle(family, budget) for budget in TABLE_BUDGETS),
        )
    return table


def _decoding_table(record: DemoRecord) -> Table:
    summary = overview(record)
    table = Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=Text(f"Drafter {_printable(record.headline.drafter)}, P ≤ {record.headline.node_budget}"),
    )
    table.add_column("family")
    for name in ("T", "tokens/call", "speed-up", "verdict", "tokens/s", "plain", "looping", "branching"):
        table.add_column(name, justify="right")
    for place in range(len(summary.temperatures)):
        for family in summary.families:
            run = family.decodings[place]
            if run is not None:
                table.add_row(_plain_text(run.family, "bold"), *_run_cells(run))
        table.add_section()
    return table


def _run_cells(run: DecodingSummary) -> list[Text]:
    return [
        Text(f"{run.temperature:g}"),
        Text(significant(run.tokens_per_call.value)),
        Text(ratio(run.speed_up.estimate.value), _SLOWER if run.speed_up.verdict == "slower" else ""),
        Text(run.speed_up.verdict),
        Text(significant(run.tokens_per_second)),
        Text(significant(run.plain_tokens_per_second)),
        Text(percent(run.looping_share)),
        Text(f"{run.branching_calls}/{run.calls}"),
    ]


def _oracle(family: FamilyOverview, budget: int) -> Text:
    estimate = at_budget(family.limits, "oracle", budget) if family.limits else None
    return Text(significant(estimate.value) if estimate else NOT_MEASURED)


def _with_error(estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text(NOT_MEASURED)
    error = standard_error(estimate)
    return Text(significant(estimate.value) + (f" ± {error}" if error else ""))


def _plain_text(words: str, style: str = "") -> Text:
    return Text(_printable(words), style)


def _printable(words: str) -> str:
    """Words without control characters: an escape sequence in a family's name would reach the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
