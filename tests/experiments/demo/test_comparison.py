"""Two demos compared: pairs where prompts are the same, and nothing is told apart where nothing changed."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.experiments.demo.comparison import Circumstance, compare_runs

RECORD = synthetic_record()


def changed(record=RECORD, more_tokens=6, faster=0.2, seed=8):
    """The same prompts decoded otherwise: a little different for each, so that intervals have a width."""
    totals = tuple(
        replace(
            row,
            tokens=row.tokens + more_tokens + number % 3,
            expected_tokens=row.expected_tokens + more_tokens,
            log_speed_up=row.log_speed_up + faster + 0.01 * (number % 5),
        )
        for number, row in enumerate(record.prompt_totals)
    )
    return replace(record, prompt_totals=totals, provenance=replace(record.provenance, seed=seed))


def differences(first, second):
    return {(item.quantity, item.setting): item for item in compare_runs(first, second).differences}


def test_a_run_does_not_differ_from_itself():
    comparison = compare_runs(RECORD, RECORD)
    assert comparison.circumstances == ()
    assert comparison.only_first == comparison.only_second == ()
    assert {item.direction for item in comparison.differences} == {"not decided"}
    assert all(item.change.value == (1.0 if item.is_ratio else 0.0) for item in comparison.differences)


def test_changes_are_those_of_the_same_prompts():
    second = changed()
    found = differences(RECORD, second)
    rows = [
        (a, b)
        for a, b in zip(RECORD.prompt_totals, second.prompt_totals, strict=True)
        if a.temperature == 1.0
    ]
    setting = "ngram, T = 1, P ≤ 8, target_sample"
    per_call = found["tokens per call", setting]
    calls = sum(a.calls for a, _ in rows)
    assert per_call.change.value == pytest.approx(sum(b.tokens - a.tokens for a, b in rows) / calls)
    speed = found["speed-up over plain decoding", setting]
    mean = sum(b.log_speed_up - a.log_speed_up for a, b in rows) / len(rows)
    assert speed.change.value == pytest.approx(exp(mean))
    share = found["share of the limit", setting]
    limit = sum(a.limit_tokens for a, _ in rows)
    assert share.first.value == pytest.approx(sum(a.expected_tokens for a, _ in rows) / limit)
    assert share.change.value == pytest.approx(6 * len(rows) / limit)
    assert {per_call.direction, speed.direction, share.direction} == {"higher"}
    assert all(item.is_paired for item in (per_call, speed, share))
    back = differences(second, RECORD)["tokens per call", setting]
    assert back.direction == "lower"
    assert back.change.value == pytest.approx(-per_call.change.value)


@pytest.mark.parametrize("how", ["other prompts", "fewer prompts"])
def test_other_prompts_are_not_paired(how):
    second = changed()
    if how == "other prompts":
        second = replace(second, provenance=replace(second.provenance, prompts_sha256="6" * 64))
    else:
        second = replace(second, prompt_totals=second.prompt_totals[1:])
    found = differences(RECORD, second)
    item = found["tokens per call", "ngram, T = 0, P ≤ 8, greedy"]
    assert not item.is_paired
    width, of_first = ((side.high or 0.0) - (side.low or 0.0) for side in (item.change, item.first))
    assert width > of_first
    assert all(quantity != "share of the limit" for quantity, setting in found if "T = 0" in setting)


def test_settings_of_one_run_alone_are_named():
    other = tuple(replace(run, node_budget=16) for run in RECORD.overall)
    comparison = compare_runs(RECORD, replace(RECORD, overall=RECORD.overall[:1] + other[1:]))
    assert comparison.only_first == ("ngram, T = 1, P ≤ 8, target_sample",)
    assert comparison.only_second == ("ngram, T = 1, P ≤ 16, target_sample",)


def test_limits_are_compared_where_both_runs_searched():
    limits = RECORD.overall_limits
    (oracle,) = limits.curves
    shorter = replace(
        limits,
        budgets=limits.budgets[:20],
        curves=(replace(oracle, values=oracle.values[:20], lows=oracle.lows[:20], highs=oracle.highs[:20]),),
    )
    found = differences(RECORD, replace(RECORD, overall_limits=shorter))
    settings = [setting for quantity, setting in found if quantity == "limit, tokens per call"]
    assert [setting.rpartition(" ")[2] for setting in settings] == ["4", "8", "16"]
    hot = replace(RECORD, overall_limits=replace(limits, temperature=0.5))
    assert not any(quantity.startswith("limit") for quantity, _ in differences(RECORD, hot))


def test_circumstances_that_differ_are_listed():
    second = changed()
    second = replace(second, provenance=replace(second.provenance, machine="another"))
    assert compare_runs(RECORD, second).circumstances == (
        Circumstance("seed", "7", "8"),
        Circumstance("machine", "x86-64, 2 cores, Linux", "another"),
    )
