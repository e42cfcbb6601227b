"""The tables in the terminal."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from report.demo.synthetic_record import synthetic_record, with_every_text
from speclight.report.demo.terminal import terminal_table


def shown(record, width: int = 120) -> str:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(terminal_table(record))
    return file.getvalue()


def test_headline_and_rows_are_shown():
    text = shown(synthetic_record())
    assert "At most 71.3 tokens per second are possible here, 1.93× plain decoding." in text
    assert "reaches 41.3% of the limit (95% interval 37.9 to 44.8%)" in " ".join(text.split())
    assert "Slower. Speculation was slower than plain decoding here" in text
    (row,) = [line for line in text.splitlines() if line.startswith("maths")]
    assert row.split() == ["maths", "3.55", "4.40", "6.10", "3.11", "1.33", "42.7%"]
    (cold, warm) = [line for line in text.splitlines() if line.startswith("ngram ")]
    assert cold.split()[:4] == ["ngram", "0", "10", "1.74"]
    assert warm.split()[:6] == ["ngram", "1", "10", "1.41", "0.871×", "slower,"]


def test_other_work_on_the_machine_is_said():
    record = synthetic_record(("code",))
    assert "Other work was running" not in shown(record)
    assert "Other work was running" in shown(replace(record, load=replace(record.load, after=3.9)))


def test_a_decode_above_its_limit_is_said():
    record = synthetic_record(("code",))
    assert "no decode of these texts exceeds" not in shown(record)
    (item,) = record.limit_checks
    above = replace(item, check=replace(item.check, reached=3.9, share=1.2, least_share=1.1, exceeds=True))
    text = shown(replace(record, limit_checks=(above,)), width=400)
    assert "emitted 3.90 tokens per call where no decode of these texts exceeds 3.20" in text


def test_names_can_neither_style_nor_steer_the_terminal():
    record = with_every_text(synthetic_record(("code",)), lambda text: f"{text}[red]\x1b]0;title\x07")
    text = shown(record, width=400)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "code[red]\N{REPLACEMENT CHARACTER}]0;title" in text


def test_missing_parts_are_dashes():
    record = synthetic_record(("code", "qa"))
    text = shown(
        replace(record, limits=record.limits[:1], at_call_starts=record.at_call_starts[1:], overall=())
    )
    (code, qa) = [line.split() for line in text.splitlines() if line.startswith(("code", "qa"))]
    assert code == ["code", "3.84", "4.78", "6.68", "–", "–", "–"]
    assert qa[1:4] == ["–", "–", "–"]
    assert "All families together" not in text
