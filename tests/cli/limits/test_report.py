"""`speclight report --compare`: two runs side by side from their records alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.cli.main import main
from speclight.report.demo.record_file import write_json


@pytest.fixture
def runs(tmp_path):
    record = synthetic_record(("code",))
    write_json(record, tmp_path / "before" / "report.json")
    totals = tuple(replace(row, tokens=row.tokens + 9) for row in record.prompt_totals)
    write_json(replace(record, prompt_totals=totals), tmp_path / "after" / "report.json")
    return tmp_path


def test_two_runs_are_compared(runs, capsys):
    arguments = ["report", "--run", str(runs / "before"), "--compare", str(runs / "after")]
    assert main([*arguments, "--out", str(runs / "both"), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["comparison"].endswith("comparison.html")
    (change,) = [
        row
        for row in document["differences"]
        if row["quantity"] == "tokens per call" and "T = 1" in row["setting"]
    ]
    assert (change["direction"], change["is_paired"]) == ("higher", True)
    assert change["change"]["low"] > 0.0
    assert "after against before" in captured.err
    assert sorted(path.name for path in (runs / "both").iterdir()) == ["comparison.html", "tables"]


def test_a_second_run_without_record_is_told(runs, capsys):
    assert main(["report", "--run", str(runs / "before"), "--compare", str(runs / "nothing")]) == 2
    assert "report.json" in capsys.readouterr().err
