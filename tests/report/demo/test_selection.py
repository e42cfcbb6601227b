"""What the page looks up in a record."""

from __future__ import annotations

from dataclasses import replace

from report.demo.synthetic_record import synthetic_record
from speclight.report.demo.selection import at_budget, panel_title


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
    limits = record.limits[0]
    assert panel_title(limits, record) == "code"
    both = replace(
        record,
        limits=(limits, replace(limits, start_law="call starts", temperature=0.5)),
    )
    assert panel_title(limits, both) == "code, T = 1, uniform positions of sampled text"
