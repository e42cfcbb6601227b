"""Rows of the first table hold what belongs to their family and setting, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from report.demo.synthetic_record import synthetic_record
from speclight.report.demo.overview import overview
from speclight.report.demo.selection import at_budget, decodings_by_setting, panel_title, setting_label


def test_rows_follow_the_record_and_temperatures_rise():
    record = synthetic_record()
    rows = overview(replace(record, decodings=record.decodings[::-1]))
    assert rows.temperatures == (0.0, 1.0)
    for row, profile, limits in zip(rows.families, record.profiles, record.limits, strict=True):
        assert (row.profile, row.limits) == (profile, limits)
        assert [run.temperature for run in row.decodings] == [0.0, 1.0]
        assert {run.family for run in row.decodings} == {row.family}


def test_only_the_headlines_setting_counts():
    record = synthetic_record(("code",))
    other = tuple(replace(run, node_budget=16) for run in record.decodings)
    rows = overview(replace(record, decodings=other + record.decodings))
    assert rows.families[0].decodings == record.decodings
    assert overview(replace(record, decodings=other)).temperatures == ()
    hot = replace(record.limits[0], temperature=0.7)
    assert overview(replace(record, limits=(hot,))).families[0].limits is None


def test_values_are_read_at_the_budget_asked_for():
    (limits,) = synthetic_record(("code",)).limits
    (oracle,) = [curve for curve in limits.curves if curve.name == "oracle"]
    estimate = at_budget(limits, "oracle", 16)
    assert (estimate.value, estimate.low, estimate.high) == (
        oracle.values[15],
        oracle.lows[15],
        oracle.highs[15],
    )
    assert at_budget(limits, "oracle", 128) is None
    assert at_budget(limits, "no_such_bound", 16) is None


def test_labels_say_what_differs():
    record = synthetic_record(("code",))
    run, limits = record.decodings[0], record.limits[0]
    assert setting_label(run, record) == "T = 0"
    assert panel_title(limits, record) == "code"
    both = replace(
        record,
        decodings=(run, replace(run, node_budget=16)),
        limits=(limits, replace(limits, start_law="call starts", temperature=0.5)),
    )
    assert setting_label(run, both) == "T = 0, ngram, P ≤ 8"
    assert panel_title(limits, both) == "code, T = 1, uniform positions of sampled text"
    assert [group[0].node_budget for group in decodings_by_setting(both)] == [8, 16]
