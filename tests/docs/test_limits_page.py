"""A number on the page of limits that follows from others on it."""

import re
from math import sqrt
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "results" / "limits.md"
CELL = re.compile(r"^\| (\w+), (?:1\.0|0\.7) \|(.*)\|$", re.MULTILINE)
P_32 = 3  # its column


def test_the_pooled_error_with_a_files_two_temperatures_as_one_draw():
    """Ten cells of equal weight: 2.0% if all were independent, 2.8% if a file's two errors are one."""
    table = PAGE.read_text(encoding="utf-8").split("| stratified bound / oracle |")[1]
    errors: dict[str, list[float]] = {}
    for family, cells in CELL.findall(table):
        error = re.findall(r"± (\d\.\d\d)", cells)[P_32]
        errors.setdefault(family, []).append(float(error))
    assert [len(own) for own in errors.values()] == [2] * 5
    together = sqrt(sum(sum(own) ** 2 for own in errors.values())) / 10
    apart = sqrt(sum(error**2 for own in errors.values() for error in own)) / 10
    assert together == pytest.approx(0.028, abs=5e-4)
    assert apart == pytest.approx(0.020, abs=5e-4)
