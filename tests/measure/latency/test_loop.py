"""What a call takes besides target and drafter: lines through made-up seconds, and decodes that are timed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import speclight.measure.latency.run as run_module
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.latency.level_times import LevelTimes, TimedLevel
from speclight.measure.latency.loop import TIMED_BUDGETS, TIMED_GROWTHS
from speclight.measure.latency.loop_times import LoopCall, LoopTimes
from speclight.measure.latency.record import read_latency
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from toys import tiny_target

LEVELS = LevelTimes.of_levels("toy", 7, (TimedLevel(8, 0, 1, 4.0), TimedLevel(8, 1, 2, 1.0)))


def call(growth, nodes, draft, loop, levels=2) -> LoopCall:
    return LoopCall(growth, nodes, nodes, levels, 1 + 2 * (levels - 1), draft, 10.0, loop)


# Two levels take 5 seconds of the drafter; growing takes 0.5 more and 0.25 a node; the loop 1 and 0.5 a node.
TREES = tuple(call("best_first", nodes, 5.5 + 0.25 * nodes, 1.0 + 0.5 * nodes) for nodes in (2, 4, 8))
SLOW = replace(TREES[0], loop=500.0)
CHAINS = (call("chain", 2, 4.0, 2.0, levels=1),)


def test_seconds_lie_on_the_line_of_each_growth():
    times = LoopTimes("toy", (*TREES, TREES[0], SLOW, *CHAINS), LEVELS)
    np.testing.assert_allclose(times.loop_seconds("best_first", np.array([1.0, 6.0])), [1.5, 4.0], rtol=1e-6)
    np.testing.assert_allclose(times.growing_seconds("best_first", 6), 2.0, rtol=1e-6)
    assert times.loop_seconds("chain", 2) == pytest.approx(2.0, rel=1e-6)
    assert times.growing_seconds("chain", 2) == pytest.approx(0.0, abs=1e-6)
    assert times.growths == ("best_first", "chain")


def test_a_growth_that_was_not_timed_has_the_line_of_all():
    times = LoopTimes("toy", TREES, LEVELS)
    assert times.loop_seconds("batch", 6) == pytest.approx(4.0)
    eagle2 = LoopTimes("toy", tuple(replace(each, growth="eagle2") for each in TREES) + CHAINS, LEVELS)
    assert eagle2.loop_seconds("eagle2=4,2,2", 6) == pytest.approx(4.0)  # the same kind of growth


def test_plain_decoding_has_a_loop_and_no_drafting():
    plain = LoopTimes("none", (LoopCall("none", 1, 1, 0, 0, 0.1, 10.0, 0.7),))
    assert plain.loop_seconds("none", 1.0) == 0.7
    assert plain.growing_seconds("none", 1.0) == 0.1


def test_decodes_are_timed_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
    settings = LatencySettings((1, 2, 4), (3, 5), rounds=1, warm_up=1, loop_calls=3)
    drafters = [ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1)]
    record = run_latency(tiny_target(), settings, tmp_path, drafters)
    assert [times.drafter for times in record.loops] == ["none", "ngram", "layer_skip"]
    plain, ngram, skip = record.loops
    assert (plain.growths, plain.levels, len(plain.calls)) == (("none",), None, 3)
    assert skip.growths == TIMED_GROWTHS
    assert {each.node_budget for each in skip.calls} == {budget for budget in TIMED_BUDGETS if budget <= 4}
    assert len(skip.calls) == 3 * 2 * len(TIMED_GROWTHS)
    assert skip.levels is not None
    assert all(each.draft > 0.0 and each.loop > 0.0 and each.nodes <= each.node_budget for each in skip.calls)
    assert ngram.loop_seconds("chain", 3.0) > 0.0
    (tmp_path / "loop-01.parquet").unlink()
    run_latency(tiny_target(), settings, tmp_path, drafters)  # the one missing is made again
    assert read_latency(tmp_path).loops[2].calls == skip.calls
