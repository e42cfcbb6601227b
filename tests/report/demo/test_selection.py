"""What the page looks up in a record."""

from __future__ import annotations

from dataclasses import replace

from report.demo.synthetic_record import synthetic_record
from speclight.report.demo.selection import at_budget, panel_title, table_budgets
from speclight.report.demo.tables import report_tables


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


def test_tables_have_no_column_for_a_budget_that_nothing_was_computed_at():
    """A quick look searches up to P = 24."""
    record = synthetic_record(("code",))
    assert table_budgets(record) == (8, 16, 64)
    limits = record.limits[0]
    curves = tuple(
        replace(
            curve,
            values=curve.values[:24],
            lows=None if curve.lows is None else curve.lows[:24],
            highs=None if curve.highs is None else curve.highs[:24],
        )
        for curve in limits.curves
    )
    quick = replace(record, limits=(replace(limits, budgets=limits.budgets[:24], curves=curves),))
    assert table_budgets(quick) == (8, 16)
    shown = [column.key for table in report_tables(quick).values() for column in table.columns]
    assert "limit_uniform_p16" in shown
    assert "limit_uniform_p64" not in shown
