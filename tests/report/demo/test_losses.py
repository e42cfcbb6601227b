"""The steps from the limit to the measured speed: bars that meet, the limit at full length, exact numbers."""

import csv
from io import StringIO

import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.report.demo.losses import loss_rows, losses_table

LOSSES = synthetic_record(("code",)).losses


def test_each_bar_begins_or_ends_where_the_one_before_left_off():
    rows = loss_rows(LOSSES)
    assert len(rows) == len(LOSSES.waterfall.factors) + 1
    assert max(row.begin + row.length for row in rows) == pytest.approx(100.0)
    level = 0.0
    for row, factor in zip(rows[:-1], LOSSES.waterfall.factors, strict=True):
        ends = (row.begin, row.begin + row.length)
        assert min(abs(end - level) for end in ends) < 1e-9
        level = ends[0] if factor.value.value < 1.0 else ends[1]
    assert rows[-1].length == pytest.approx(level)
    assert all(row.sentence.endswith(".") for row in rows)


def test_the_csv_file_has_exact_numbers():
    rows = list(csv.DictReader(StringIO(losses_table(LOSSES).csv())))
    assert [float(row["value"]) for row in rows] == [f.value.value for f in LOSSES.waterfall.factors]
