"""Where the time of a token goes: milliseconds by phase, for each drafter and for plain decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

from speclight.experiments.demo.record import DecodingSummary, DemoRecord
from speclight.report.number_format import ratio

PLAIN = "plain decoding"


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a call. name: the field of PhaseSeconds. colour: of the palette."""

    name: str
    label: str
    colour: str


PHASES = (
    Phase("draft", "drafting", "drafter"),
    Phase("target", "target call", "plain"),
    Phase("verify", "verification", "verification"),
    Phase("commit", "rest", "rest"),
)


@dataclass(frozen=True, slots=True)
class TimeRow:
    """One decoder at one temperature, all families together.

    milliseconds: per emitted token, over all rounds. by_phase: of it, by name of the phase; empty for plain
    decoding, whose phases are not recorded. note: the speed-up and its verdict.
    """

    decoder: str
    temperature: float
    milliseconds: float
    by_phase: Mapping[str, float]
    note: str


def time_rows(record: DemoRecord) -> list[TimeRow]:
    """Per temperature, plain decoding, then every drafter; phases are shares of the first round's calls."""
    rows: list[TimeRow] = []
    for temperature in sorted({run.temperature for run in record.overall}):
        runs = [run for run in record.overall if run.temperature == temperature]
        plain = _milliseconds(runs[0].plain_tokens_per_second)
        rows.append(TimeRow(PLAIN, temperature, plain, {}, ""))
        rows += [_row(run) for run in runs]
    return rows


def _row(run: DecodingSummary) -> TimeRow:
    total, seconds = _milliseconds(run.tokens_per_second), run.seconds_by_phase
    by_phase = {phase.name: total * getattr(seconds, phase.name) / seconds.total for phase in PHASES}
    note = f"{ratio(run.speed_up.estimate.value)}, {run.speed_up.verdict}"
    return TimeRow(run.drafter, run.temperature, total, by_phase, note)


def _milliseconds(tokens_per_second: float) -> float:
    return 1e3 / tokens_per_second if tokens_per_second > 0.0 else nan
