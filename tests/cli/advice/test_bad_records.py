"""Records that are cut, of another target or of a later version, and drafters that are never right."""

import io
import json
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import speclight.cli.advice.gap
import speclight.measure.latency.run as run_module
from cli.advice.conftest import PROMPTS, SETTINGS
from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.plan import PLAN_NAME, plan_text
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.store import read_plan, read_table, write_recorded
from speclight.measure.trace.record import SCHEMA
from speclight.measure.trace.run import run_trace
from toys import tiny_target


@pytest.fixture(params=["score", "plan"])
def told(request, timed, capsys):
    """told(trace): what a command says of a trace that it refuses."""

    def run(folder) -> str:
        times = ["--latency", timed] if request.param == "plan" else []
        assert main([request.param, str(folder), *times]) == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def copied(traced, tmp_path):
    return Path(shutil.copytree(traced, tmp_path / "copied"))


def test_a_truncated_trace_is_told(copied, told):
    file = copied / "text-0000-drafters.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    said = told(copied)
    assert "text-0000-drafters.parquet in copied is damaged" in said
    assert "delete this file and repeat the command" in said
    file.unlink()
    assert "the run was not finished" in told(copied)


def test_a_trace_of_a_later_version_is_told(copied, told):
    write_recorded(copied, PLAN_NAME, plan_text(read_plan(copied) | {"schema": 99}))
    assert f"has schema 99, expected {SCHEMA} or less: a later version of speclight made it" in told(copied)


def test_records_of_another_kind_are_told(timed, told):
    assert "holds records of the kind 'latency', expected 'trace'" in told(timed)


def latency_of(target, folder, budgets, monkeypatch, drafters=()):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
    seconds = count()
    settings = LatencySettings(budgets, (8,), rounds=1, warm_up=1, loop_calls=0)
    run_latency(target, settings, folder, drafters, clock=lambda: float(next(seconds)))
    return str(folder)


def named_by(target, weights):
    target.loaded = replace(target.loaded, weights_sha256=weights)
    return target


def test_call_times_of_another_target_are_told(tmp_path, monkeypatch, capsys):
    """Another tokenizer comes with other weights, so it is told by them."""
    here = named_by(tiny_target(6, seed=1, end_of_text=frozenset({5}), window=128), "a" * 64)
    there = named_by(tiny_target(7, seed=2, window=128), "b" * 64)
    trace, times = tmp_path / "trace", latency_of(there, tmp_path / "latency", (1, 2), monkeypatch)
    run_profile(here, PROMPTS[:1], ProfileSettings(max_tokens=8), trace / "texts")
    run_trace(here, [ComparedDrafter("ngram")], SETTINGS, trace)
    for command in (["plan", str(trace)], ["score", str(trace), "--plot", str(tmp_path / "a.svg")]):
        assert main([*command, "--latency", times]) == 2
        assert "expected one target in both" in capsys.readouterr().err


def test_budgets_that_were_not_timed_are_left_out_and_said(toy, traced, tmp_path, monkeypatch, run_json):
    drafters = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))
    times = latency_of(toy, tmp_path / "latency", (1, 2), monkeypatch, drafters)
    document, _ = run_json("plan", traced, "--latency", times)
    (plan,) = document["plans"]
    assert plan["largest_budget_timed"] == 2
    assert {row["node_budget"] for row in plan["predictions"]} == {1, 2}
    assert "trees up to 2 nodes" in " ".join(document["reasons"][0])


def test_drafters_that_are_never_right_are_scored_and_not_used(copied, timed, run_json):
    """The target gives every draft probability 0, and no text runs through one."""
    for file in sorted(copied.glob("text-*-drafters.parquet")):
        table = read_table(copied, file.stem)
        nats = [[0.0, *[-np.inf] * (len(row) - 1)] for row in table["target_nats"].to_pylist()]
        tokens = [[row[0], *range(99, 98 + len(row))] for row in table["tokens"].to_pylist()]
        for name, rows, kind in (("target_nats", nats, pa.float64()), ("tokens", tokens, pa.int32())):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(rows, pa.list_(kind)))
        content = io.BytesIO()
        pq.write_table(table, content)
        write_recorded(copied, file.name, content.getvalue())
    scores, _ = run_json("score", str(copied))
    assert all(row["tokens_per_call"] == 1.0 for row in scores["scores"])
    plan, _ = run_json("plan", str(copied), "--latency", timed)
    assert all(said.startswith("Do not speculate") for said in plan["recommendation"])
    assert "emits 1.00 tokens a call" in plan["reasons"][0][0]


def gap(prompts, folder, *more):
    return [
        *("gap", "--prompts", prompts, "--out", str(folder), "--max-tokens", "6", "--budget", "4"),
        *("--prompts-per-family", "1", "--rounds", "1", *more),
    ]


def test_a_run_that_is_cut_or_of_another_target_is_told(prompts, tmp_path, runs_on, monkeypatch, capsys):
    here = named_by(tiny_target(6, seed=1, window=256), "a" * 64)
    there = named_by(tiny_target(6, seed=2, window=256), "b" * 64)
    runs_on(here, speclight.cli.advice.gap)
    assert main(gap(prompts, tmp_path / "gap")) == 0
    times = latency_of(there, tmp_path / "latency", (1, 2), monkeypatch)
    assert main(gap(prompts, tmp_path / "gap", "--latency", times)) == 2
    assert "expected one target in both" in capsys.readouterr().err
    runs_on(there, speclight.cli.advice.gap)
    assert main(gap(prompts, tmp_path / "gap")) == 2
    assert "weights_sha256" in capsys.readouterr().err
    runs_on(here, speclight.cli.advice.gap)
    file = tmp_path / "gap" / "prompt-0000-calls.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert main(gap(prompts, tmp_path / "gap")) == 2
    assert "prompt-0000-calls.parquet in gap is damaged" in capsys.readouterr().err


def test_call_times_of_a_later_form_are_told(timed, traced, tmp_path, capsys):
    copied = Path(shutil.copytree(timed, tmp_path / "times"))
    plan = json.loads((copied / PLAN_NAME).read_text(encoding="utf-8"))
    del plan["settings"]
    write_recorded(copied, PLAN_NAME, plan_text(plan))
    assert main(["plan", traced, "--latency", str(copied)]) == 2
    assert "not in the form that this version reads" in capsys.readouterr().err
