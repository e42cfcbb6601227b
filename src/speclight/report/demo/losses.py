"""Where the speed goes, as the page shows it: a bar and a sentence for each factor, and the table behind."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.advice.waterfall import FactorName
from speclight.advice.waterfall_words import LABELS, sentences
from speclight.experiments.demo.record import SpeedLosses
from speclight.report.number_format import significant, told_interval
from speclight.report.table import Column, Table, number, words

# What somebody can win back: the others are the limit, chance, and where texts end.
WINNABLE: tuple[FactorName, ...] = ("knowledge", "shape", "rule", "call_time", "drafting", "loop")


@dataclass(frozen=True, slots=True)
class LossRow:
    """One step. factor, interval, left: as shown. begin, length: of its bar, in percent of the longest."""

    label: str
    sentence: str
    factor: str
    interval: str
    left: str
    begin: float
    length: float
    colour: str


def loss_rows(losses: SpeedLosses) -> tuple[LossRow, ...]:
    """The limit, each factor as what it takes off or adds, and what was measured."""
    found, said = losses.waterfall, sentences(losses.waterfall, losses.setup)
    levels = [factor.tokens_per_second.value for factor in found.factors]
    longest = max(levels)
    rows: list[LossRow] = []
    for factor, before, after in zip(found.factors, [0.0, *levels[:-1]], levels, strict=True):
        is_limit = factor.name == "decode_bound"
        colour = "oracle" if is_limit else "renewal" if after < before else "ergodic-renewal"
        rows.append(
            LossRow(
                LABELS[factor.name],
                said[factor.name],
                f"{'' if is_limit else '× '}{significant(factor.value.value)}",
                told_interval(factor.value) or "",
                significant(after),
                100.0 * min(before, after) / longest,
                100.0 * abs(after - before) / longest,
                colour,
            )
        )
    return (*rows, _measured(losses, longest))


def _measured(losses: SpeedLosses, longest: float) -> LossRow:
    found = losses.waterfall
    return LossRow(
        "measured",
        f"All factors multiplied: the speed-up over speclight’s plain loop, which emits "
        f"{significant(found.plain_tokens_per_second)} tokens per second here.",
        f"{significant(found.speed_up.value)}× plain",
        told_interval(found.speed_up) or "",
        significant(found.tokens_per_second),
        0.0,
        100.0 * found.tokens_per_second / longest,
        "drafter",
    )


def largest_loss(losses: SpeedLosses) -> str:
    """Which factor takes most, and what would win it back, in a sentence; empty where none takes anything."""
    found, said = losses.waterfall, sentences(losses.waterfall, losses.setup)
    name = min(WINNABLE, key=lambda each: found.of(each).value.value)
    if found.of(name).value.value >= 1.0:
        return ""
    return f"Most is lost to {LABELS[name]}. {said[name]}"


def losses_table(losses: SpeedLosses) -> Table:
    """The factors with exact numbers."""
    rows = [
        (
            words(LABELS[factor.name]),
            number(factor.value.value),
            number(factor.value.low),
            number(factor.value.high),
            number(factor.tokens_per_second.value),
            number(factor.without),
        )
        for factor in losses.waterfall.factors
    ]
    return Table(
        "waterfall",
        "Where the speed goes, from the limit down to what was measured",
        (
            Column("factor", "factor", is_text=True),
            Column("value", "value"),
            Column("value_low", "low"),
            Column("value_high", "high"),
            Column("tokens_per_second", "tokens per second left"),
            Column("tokens_per_second_if_one", "tokens per second if it were 1"),
        ),
        tuple(rows),
    )
