"""The page of two runs: what is told apart, as safe as the report."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

from report.demo.synthetic_record import synthetic_record, with_every_text
from report.demo.test_html import HOSTILE, LOADING_TAGS, Page
from speclight.experiments.demo.comparison import compare_runs
from speclight.report.demo.comparison import told_differences, write_comparison

RECORD = synthetic_record(("code", "qa"))
SLOWER = replace(
    RECORD,
    prompt_totals=tuple(
        replace(row, log_speed_up=row.log_speed_up - 0.3 - 0.01 * (number % 4))
        for number, row in enumerate(RECORD.prompt_totals)
    ),
    provenance=replace(RECORD.provenance, threads=1),
)


def page_of(first, second, folder, names=("before", "after")) -> Page:
    path = write_comparison(compare_runs(first, second), names, folder)
    return Page(path.read_text(encoding="utf-8"))


def test_what_is_told_apart_comes_first(tmp_path):
    page = page_of(RECORD, SLOWER, tmp_path)
    first = "In 2 of 10 quantities the two runs differ."
    told = "Speed-up over plain decoding (ngram, T = 1, P ≤ 8, target_sample): lower, 0.7"
    assert page.text.index(first) < page.text.index(told) < page.text.index("What was measured")
    assert "threads 2 1" in page.text
    rows = list(
        csv.DictReader(StringIO((tmp_path / "tables" / "differences.csv").read_text(encoding="utf-8")))
    )
    (speed,) = [row for row in rows if row["quantity"].startswith("speed-up") and "T = 1" in row["setting"]]
    assert (speed["direction"], speed["paired"]) == ("lower", "yes")
    assert float(speed["change_low"]) < float(speed["change"]) < float(speed["change_high"]) < 1.0


def test_equal_runs_and_runs_without_a_common_setting_are_said(tmp_path):
    page = page_of(RECORD, RECORD, tmp_path)
    assert "No difference between the two runs is told apart from none." in page.text
    assert "The same target, machine, prompts, versions and command." in page.text
    limits = replace(RECORD.overall_limits, temperature=0.5)
    apart = replace(
        RECORD, overall=tuple(replace(run, drafter="eagle3") for run in RECORD.overall), overall_limits=limits
    )
    told = told_differences(compare_runs(RECORD, apart))
    assert told.statement == "The two runs have no setting in common."
    assert told.left_out[1].startswith("In the second run only: eagle3, T = 0")


def test_text_of_the_records_cannot_become_markup(tmp_path):
    hostile = [with_every_text(record, lambda text: text + HOSTILE) for record in (RECORD, SLOWER)]
    names = (f"a{HOSTILE}", f"b{HOSTILE}")
    plain = page_of(RECORD, SLOWER, tmp_path / "plain")
    page = page_of(*hostile, tmp_path / "hostile", names)
    assert page.structure == plain.structure
    assert not LOADING_TAGS & {tag for tag, _ in page.elements}
    assert HOSTILE in page.text
    assert "Plotly" not in "".join(plain.contents["script"]).replace("Plotly.react", "")


def test_equal_runs_give_equal_pages(tmp_path):
    paths = [
        write_comparison(compare_runs(RECORD, SLOWER), ("a", "b"), tmp_path / name) for name in ("one", "two")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
