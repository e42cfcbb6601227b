"""The tables in the terminal."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from report.demo.synthetic_record import made_up_estimate, synthetic_record, with_every_text, without_interval
from speclight.report.demo.terminal import terminal_table


def shown(record, width: int = 120) -> str:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(terminal_table(record))
    return file.getvalue()


def test_headline_and_rows_are_shown():
    text = shown(synthetic_record())
    assert "the ngram drafter reaches 41.3% of this model’s limit (95% interval 37.9 to 44.8%)" in text
    assert "Slower. Speculation was slower than plain decoding here" in text
    (row,) = [line for line in text.splitlines() if line.startswith("maths") and "±" in line]
    assert row.split() == ["maths", "0.880", "±", "0.035", "2.95", "±", "0.18", "3.55", "4.40", "6.10"]


def test_other_work_on_the_machine_is_said():
    record = synthetic_record(("code",))
    assert "Other work was running" not in shown(record)
    assert "Other work was running" in shown(replace(record, load=replace(record.load, after=3.9)))


def test_names_can_neither_style_nor_steer_the_terminal():
    record = with_every_text(synthetic_record(("code",)), lambda text: f"{text}[red]\x1b]0;title\x07")
    text = shown(record, width=400)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "code[red]\N{REPLACEMENT CHARACTER}]0;title" in text


def test_missing_parts_are_dashes():
    record = synthetic_record(("code", "qa"))
    profile = replace(record.profiles[0], full_mu=without_interval(made_up_estimate(0.71)))
    text = shown(replace(record, profiles=(profile,), limits=record.limits[:1]))
    (code, qa) = [line.split() for line in text.splitlines() if line.startswith(("code", "qa"))][:2]
    assert code[:2] == ["code", "0.710"]
    assert code[2] != "±"
    assert qa == ["qa", *"–––––"]
