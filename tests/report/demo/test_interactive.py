"""The interactive figures: valid Plotly once colours are put in, and true to the record."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import plotly.graph_objects
import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.experiments.demo.record import DepthAcceptance
from speclight.report.curve_style import COLOURS
from speclight.report.demo import html
from speclight.report.demo.figures import FigureFiles
from speclight.report.demo.html import write_report
from speclight.report.demo.interactive import limits_panels
from speclight.report.demo.interactive_decoding import acceptance_figure, time_figure
from speclight.report.demo.selection import FEWEST_OFFERED


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
    figures = (*limits_panels(record), time_figure(record), acceptance_figure(record))
    return [json.loads(figure.specification) for figure in figures if figure is not None]


def test_plotly_accepts_every_figure():
    for specification in specifications(synthetic_record()):
        plotly.graph_objects.Figure(coloured(specification))  # raises for a property Plotly does not know


def test_every_colour_is_defined_by_the_page(tmp_path, monkeypatch):
    record = synthetic_record(("code",))
    monkeypatch.setattr(html, "write_figures", lambda record, folder: FigureFiles(None, None, None))
    page = write_report(record, tmp_path).read_text(encoding="utf-8")
    named = set().union(*map(variables, specifications(record)))
    assert "--curve-oracle" in named
    assert all(f"{name}:" in page for name in named)
    assert all(f"--curve-{name}:{colour.dark};" in page for name, colour in COLOURS.items())


def test_points_are_the_records_numbers():
    record = synthetic_record(("code",))
    (panel, *_) = specifications(record)
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
    (panel, *_) = specifications(record)
    (band,) = [trace for trace in panel["data"] if trace["meta"] == "oracle" and trace.get("fill")]
    (oracle,) = [curve for curve in record.limits[0].curves if curve.name == "oracle"]
    assert band["y"] == [*oracle.highs, *reversed(oracle.lows)]


def test_bars_of_a_decoder_add_up_to_its_time():
    record = synthetic_record(("code",))
    (_, time, _) = specifications(record)
    bars = [trace for trace in time["data"] if trace["type"] == "bar"]
    assert [bar["name"] for bar in bars] == [
        "plain decoding",
        "drafting",
        "target call",
        "verification",
        "rest",
    ]
    assert time["layout"]["barmode"] == "stack"
    for place, row in enumerate(bars[0]["y"]):
        length = sum(bar["x"][place] or 0.0 for bar in bars)
        plain = bars[0]["x"][place] is not None
        run = record.overall[place // 2]
        speed = run.plain_tokens_per_second if plain else run.tokens_per_second
        assert length == pytest.approx(1e3 / speed)
        assert all(bar["y"][place] == row for bar in bars)
    # 2.02 of 2.52 s of the made-up calls were the target's.
    assert bars[2]["x"][1] == pytest.approx(1e3 / record.overall[0].tokens_per_second * 2.02 / 2.52)


def test_acceptance_is_drawn_where_enough_calls_offered_a_draft():
    record = synthetic_record(("code",))
    (run, other) = record.overall
    few = (*run.acceptance, DepthAcceptance(4, FEWEST_OFFERED - 1, 3))
    (*_, acceptance) = specifications(replace(record, overall=(replace(run, acceptance=few), other)))
    line = acceptance["data"][0]
    assert line["x"] == [1, 2, 3]
    assert line["y"] == [depth.accepted / depth.offered for depth in run.acceptance]
    assert [trace["line"]["dash"] for trace in acceptance["data"]] == ["4px,3px", "solid"]


def test_drafters_differ_in_shape_and_are_named():
    record = synthetic_record(("code",))
    both = (*record.decodings, *(replace(run, drafter="eagle3") for run in record.decodings))
    (panel, *_) = specifications(replace(record, decodings=both))
    points = {trace["name"]: trace for trace in panel["data"] if trace["meta"] == "drafter"}
    assert points["ngram"]["marker"]["symbol"] != points["eagle3"]["marker"]["symbol"]
    assert {name: trace["text"] for name, trace in points.items()} == {
        "ngram": ["ngram"],
        "eagle3": ["eagle3"],
    }


def test_numbers_json_cannot_carry_leave_gaps():
    record = synthetic_record(("code",))
    run = replace(record.overall[0], tokens_per_second=nan, plain_tokens_per_second=inf)
    (_, time, _) = specifications(replace(record, overall=(run,)))
    assert time["data"][0]["x"] == [0.0, None]
    assert time["data"][1]["x"] == [None, None]
