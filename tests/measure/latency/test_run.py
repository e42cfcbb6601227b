"""The record of call times: what was timed comes back, a killed run goes on, another plan is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import speclight.measure.latency.run as run_module
from speclight.errors import ContextOverflow, InvalidInput, StorageError
from speclight.measure.latency.record import read_latency, round_name
from speclight.measure.latency.run import run_latency, running_text
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.store import RecordFolder, read_table
from toys import tiny_target

SETTINGS = LatencySettings((1, 2, 4), (3, 6), (1, 2), rounds=3, warm_up=1, loop_calls=0)


class CountingClock:
    """The n-th reading is n^2: call n takes 4n - 1 seconds, so that each is known by its time."""

    def __init__(self):
        self.readings = 0

    def __call__(self):
        self.readings += 1
        return float(self.readings**2)


@pytest.fixture(autouse=True)
def ceilings(monkeypatch):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)


def test_every_timing_is_kept_and_read_back(tmp_path):
    record = run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=CountingClock())
    assert [curve.batch_size for curve in record.curves] == [1, 2]
    # A round has 12 calls, the first is not counted; rounds 1 and 3 of the four run backwards.
    calls = np.arange(12, 48).reshape(3, 12)
    calls[0], calls[2] = calls[0][::-1], calls[2][::-1]
    taken = (4.0 * calls + 3.0).reshape(3, 2, 2, 3)
    for place, curve in enumerate(record.curves):
        np.testing.assert_array_equal(curve.medians, np.median(taken[:, place], axis=0))
        assert curve.nodes.tolist() == [1, 2, 4]
        assert curve.context_tokens.tolist() == [3, 6]
    assert record.ceilings.memory_bytes_per_second == 1e9
    assert record.work.weight_bytes > 0
    assert record.load.cores >= 1
    assert record.of_batch(2) is record.curves[1]
    with pytest.raises(InvalidInput, match=r"one of those timed \(1, 2\)"):
        record.of_batch(3)


def test_a_killed_run_goes_on_with_the_rounds_missing(tmp_path):
    run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=CountingClock())
    kept = read_table(tmp_path, round_name(0))
    lost = tmp_path / f"{round_name(1)}.parquet"
    lost.unlink()
    with pytest.raises(StorageError, match="was not finished"):
        read_latency(tmp_path)
    run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=CountingClock())
    assert lost.exists()
    assert read_table(tmp_path, round_name(0)).equals(kept)


def test_a_finished_record_is_read_without_a_call(tmp_path):
    run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=CountingClock())

    def no_clock():
        raise AssertionError("nothing is left to time")

    assert run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=no_clock).curve.nodes.tolist() == [
        1,
        2,
        4,
    ]


def test_another_plan_is_refused(tmp_path):
    run_latency(tiny_target(layers=1), SETTINGS, tmp_path, clock=CountingClock())
    with pytest.raises(StorageError, match=r"another plan .*rounds"):
        run_latency(tiny_target(layers=1), replace(SETTINGS, rounds=4), tmp_path, clock=CountingClock())


def test_records_of_another_kind_and_mangled_rounds_are_refused(tmp_path):
    RecordFolder(tmp_path / "other", {"kind": "profile"})
    with pytest.raises(StorageError, match="expected 'latency'"):
        read_latency(tmp_path / "other")
    run_latency(tiny_target(layers=1), SETTINGS, tmp_path / "mangled", clock=CountingClock())
    plan = read_latency(tmp_path / "mangled").plan
    short = pa.table({"batch_size": [1], "context_tokens": [3], "nodes": [1], "seconds": [1.0]})
    RecordFolder(tmp_path / "mangled", plan).write(round_name(2), short)
    with pytest.raises(StorageError, match="not in the form"):
        read_latency(tmp_path / "mangled")


def test_contexts_that_leave_no_room_are_refused(tmp_path):
    with pytest.raises(ContextOverflow, match="at most 4 tokens"):
        run_latency(tiny_target(window=8, layers=1), SETTINGS, tmp_path, clock=CountingClock())


def test_running_text_is_as_long_as_asked():
    target = tiny_target(layers=1)
    assert len(running_text(target, 5000)) == 5000
    assert running_text(target, 7) == running_text(target, 5000)[:7]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"node_budgets": (2, 4)}, "expected 1 among them"),
        ({"node_budgets": (0, 1)}, "node_budgets must be >= 1"),
        ({"context_tokens": ()}, "got no context_tokens"),
        ({"rounds": 0}, "rounds must be >= 1"),
        ({"warm_up": 0}, "warm_up must be >= 1"),
    ],
)
def test_settings_check_themselves(changed, told):
    with pytest.raises(InvalidInput, match=told):
        replace(LatencySettings(), **changed)


def test_settings_are_sorted():
    assert LatencySettings((8, 1, 8)).node_budgets == (1, 8)
