"""Numbers for people."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.measure.estimates import Estimate
from speclight.report.number_format import (
    duration,
    interval,
    percent,
    ratio,
    shortened,
    significant,
    standard_error,
    told_difference,
    told_interval,
    whole,
)

# Rounding to three significant digits moves a number by at most half a unit of the third digit, which is
# largest, relatively, just above a power of ten: 0.5 / 100.
THREE_DIGITS_RTOL = 0.5e-2


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_three_digits_stay_close(value):
    assert float(significant(value)) == pytest.approx(value, rel=THREE_DIGITS_RTOL)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (1.2, "1.20"),
        (12.34, "12.3"),
        (123.4, "123"),
        (999.7, "1000"),
        (1234.5, "1234"),
        (0.01234, "0.0123"),
        (-1.5, "-1.50"),
        (nan, "–"),
        (inf, "–"),
        (None, "–"),
    ],
)
def test_three_significant_digits_are_shown(value, text):
    assert significant(value) == text


def test_intervals_that_say_nothing_are_words():
    """Of three prompts, and wider than the number itself; a difference may be as uncertain as it likes."""
    assert told_interval(Estimate(2.0, 0.3, 1.4, 2.6, 12)) == "1.40 to 2.60"
    assert told_interval(Estimate(2.0, 0.3, 1.4, 2.6, 3)) == "too few to say"
    assert told_interval(Estimate(2.7, 1.5, 1.0, 6.51, 6)) == "too few to say"
    assert told_interval(Estimate(2.0, None, None, None, 12)) is None
    assert told_difference(Estimate(0.1, 0.2, -0.3, 0.5, 6)) == "-0.300 to 0.500"
    assert told_difference(Estimate(0.1, 0.2, -0.3, 0.5, 2)) == "too few to say"


def test_units_stand_behind_their_numbers():
    assert percent(0.4132) == "41.3%"
    assert percent(nan) == "–"
    assert ratio(0.8714) == "0.871×"
    assert ratio(nan) == "–"
    assert duration(41.23) == "41.2 s"
    assert duration(252.4) == "4 min 12 s"
    assert duration(nan) == "–"
    assert whole(12288) == "12\N{NARROW NO-BREAK SPACE}288"
    assert whole(None) == "–"


def test_an_estimate_without_uncertainty_shows_none():
    assert interval(Estimate(1.0, 0.1, 0.8, 1.2, 4)) == "0.800 to 1.20"
    assert standard_error(Estimate(1.0, 0.123, 0.8, 1.2, 4)) == "0.12"
    for missing in (None, nan):
        bare = Estimate(1.0, missing, missing, missing, 1)
        assert interval(bare) is None
        assert standard_error(bare) is None


def test_long_names_are_cut_visibly():
    assert shortened("qa", 8) == "qa"
    assert shortened("12345678", 8) == "12345678"
    assert shortened("123456789", 8) == "1234567…"
