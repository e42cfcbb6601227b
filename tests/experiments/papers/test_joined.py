"""Runs joined from what they recorded are the run over all: held against a record, whole and cut apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from speclight.errors import InvalidInput, StorageError
from speclight.experiments.papers.call_times import measured_times
from speclight.experiments.papers.joined import joined, read_reproduced
from speclight.experiments.papers.other_targets import read_target_moments
from speclight.experiments.papers.run import Beside
from speclight.measure.latency.record import read_latency
from speclight.report.papers import reproduced_markdown
from speclight.report.reproduced_summary import best_trees, drafter_means, figure_1_lines

RESULTS = Path(__file__).parents[3] / "results"
PAPERS = RESULTS / "2026-11-27-papers"


@pytest.fixture(scope="module")
def recorded():
    return read_reproduced(PAPERS / "figures")


def of(found, data):
    """What a run over some data sets alone would have recorded."""
    rows = ("moments", "points", "panels")
    return replace(
        found, **{name: tuple(each for each in getattr(found, name) if each.data in data) for name in rows}
    )


def test_a_record_is_read_as_it_was_and_judged_alike(recorded):
    """Other targets and times come from where the page's command says; every table is the record's."""
    names = ("qwen2.5-coder-0.5b", "gemma-3-270m")
    times = measured_times(read_latency(RESULTS / "2026-11-27-plans" / "latency"), 60)
    beside = Beside(tuple(read_target_moments(PAPERS / name) for name in names), times)
    written = (PAPERS / "figures" / "tables.md").read_text(encoding="utf-8").rstrip()
    assert reproduced_markdown(recorded) == written
    data = [row.data for row in recorded.moments]
    parts = [of(recorded, data[:2]), of(recorded, data[2:])]
    assert reproduced_markdown(joined(parts, beside)) == written


def test_parts_of_several_targets_or_of_one_cell_are_refused(recorded, tmp_path):
    with pytest.raises(InvalidInput, match="one target, got 2"):
        joined([recorded, replace(recorded, target="other")])
    with pytest.raises(InvalidInput, match="one target, got 0"):
        joined([])
    with pytest.raises(InvalidInput, match="once, got more"):
        joined([recorded, recorded])
    with pytest.raises(StorageError, match="run it first"):
        read_reproduced(tmp_path)
    (tmp_path / "reproduced.json").write_text('{"schema": 2, "target": "a", "moments": [{"mu": 3}]}')
    with pytest.raises(StorageError, match="in the form"):
        read_reproduced(tmp_path)


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


def test_summaries_are_of_the_records_numbers(recorded):
    """The head's mean over files by hand, the line through all points as fitted, and the best trees."""
    head = "eagle3=eagle3-011680620"
    means = {row[0]: row for row in cells(drafter_means(recorded))}
    own = [point for point in recorded.points if point.drafter == head]
    assert means[head][2].startswith(f"{sum(point.measured.value for point in own) / 6:.2f} ± ")
    every, learned = cells(figure_1_lines(recorded))
    assert every[5] == f"{recorded.fits[0].r_squared:.2f}"
    assert (every[2], learned[2]) == ("42", "36")
    (growth,) = [claim for claim in recorded.claims if "ln P" in claim.claim]
    misses = [row[-1] for row in cells(best_trees(recorded))]
    assert f"{min(misses, key=lambda m: float(m[:-1]))} to {max(misses, key=lambda m: float(m[:-1]))}" in (
        growth.evidence
    )
