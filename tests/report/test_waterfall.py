"""The figure and rows of a waterfall: complete, equal for equal runs, and told when there is one prompt."""

import pytest

from advice.planted_decode import BAD_DRAFTER, Faults, planted_run
from speclight.advice.waterfall import waterfall
from speclight.advice.waterfall_words import LABELS
from speclight.report.waterfall import HEADINGS, draw_waterfall, waterfall_rows

FAULTS = Faults(drafter=BAD_DRAFTER, call=1.3, draft=0.2)


def test_rows_name_every_factor_and_end_with_the_speed_up():
    found = waterfall(planted_run(FAULTS))
    rows = waterfall_rows(found)
    assert [row[0] for row in rows] == [*LABELS.values(), "speed-up over plain decoding"]
    assert all(len(row) == len(HEADINGS) for row in rows)
    assert rows[0][1] == "3.000"
    assert rows[2][1] == f"× {found.of('knowledge').value.value:.3f}"
    assert rows[-1][1] == f"{found.speed_up.value:.3f}"


def test_one_prompt_is_said_where_an_interval_would_stand(tmp_path):
    found = waterfall(planted_run(FAULTS, prompts=1))
    assert {row[2] for row in waterfall_rows(found)} == {"one prompt"}
    assert draw_waterfall(found, "one prompt", tmp_path / "one.png").stat().st_size > 0


@pytest.mark.slow  # one canvas writes all figures, and tests/report/test_latency.py asks it for the same
def test_equal_runs_give_equal_figures(tmp_path):
    contents = [
        draw_waterfall(waterfall(planted_run(FAULTS)), "title", tmp_path / name).read_bytes()
        for name in ("a.svg", "b.svg")
    ]
    assert contents[0] == contents[1]
    assert contents[0].startswith(b"<?xml")
