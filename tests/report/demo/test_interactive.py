"""The interactive figures: valid Plotly once colours are put in, and true to the record."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import plotly.graph_objects

from report.demo.synthetic_record import synthetic_record
from speclight.report.curve_style import COLOURS
from speclight.report.demo.html import write_report
from speclight.report.demo.interactive import limits_panels, speed_figure


def coloured(value):
    if isinstance(value, str) and value.startswith("--"):
        return "#123456"
    if isinstance(value, list):
        return [coloured(item) for item in value]
    if isinstance(value, dict):
        return {key: coloured(item) for key, item in value.items()}
    return value


def variables(value) -> set[str]:
    if isinstance(value, str):
        return {value} if value.startswith("--") else set()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(variables, parts))


def specifications(record) -> list[dict]:
    return [json.loads(figure.specification) for figure in (*limits_panels(record), speed_figure(record))]


def test_plotly_accepts_every_figure():
    for specification in specifications(synthetic_record()):
        plotly.graph_objects.Figure(coloured(specification))  # raises for a property Plotly does not know


def test_every_colour_is_defined_by_the_page(tmp_path):
    record = synthetic_record(("code",))
    page = write_report(record, tmp_path).read_text(encoding="utf-8")
    named = set().union(*map(variables, specifications(record)))
    assert "--curve-oracle" in named
    assert all(f"{name}:" in page for name in named)
    assert all(f"--curve-{name}:{colour.dark};" in page for name, colour in COLOURS.items())


def test_points_are_the_records_numbers():
    record = synthetic_record(("code",))
    (panel, _) = specifications(record)
    drawn = {trace["name"]: trace for trace in panel["data"] if "name" in trace}
    for curve in record.limits[0].curves:
        expected = [(p, v) for p, v in zip(record.limits[0].budgets, curve.values, strict=True) if v > 0.0]
        trace = drawn[curve.label]
        assert list(zip(trace["x"], trace["y"], strict=True)) == expected
        assert (trace["line"]["dash"] == "solid") == curve.is_bound_here
    (run,) = [run for run in record.decodings if run.temperature == 1.0]
    point = drawn["ngram"]
    assert (point["x"], point["y"]) == ([run.nodes_per_call], [run.tokens_per_call.value])


def test_bands_enclose_low_to_high():
    record = synthetic_record(("code",))
    (panel, _) = specifications(record)
    (band,) = [trace for trace in panel["data"] if trace["meta"] == "oracle" and trace.get("fill")]
    (oracle,) = [curve for curve in record.limits[0].curves if curve.name == "oracle"]
    assert band["y"] == [*oracle.highs, *reversed(oracle.lows)]


def test_numbers_json_cannot_carry_leave_gaps():
    record = synthetic_record(("code",))
    run = replace(record.decodings[0], tokens_per_second=nan, plain_tokens_per_second=inf)
    (_, speed) = specifications(replace(record, decodings=(run,)))
    assert speed["data"][1]["x"] == [None]
    assert speed["data"][2]["text"] == ["–"]
