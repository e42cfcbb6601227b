"""Tables, sentences and figures of call times say what the record holds, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from cases import thinned
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.latency.roofline import CallWork, Ceilings
from speclight.measure.machine_load import MachineLoad
from speclight.report.latency import draw, latency_table, sentences

MEDIANS = np.array([[0.010, 0.011, 0.040], [0.020, 0.030, 0.025]])
CURVE = CallTimeCurve([1, 8, 16], [64, 512], MEDIANS, 0.99 * MEDIANS, 1.01 * MEDIANS)
WORK = CallWork(10**9, 0, 1e9, 0, 0.0, 1)
CEILINGS = Ceilings(2e11, 1e12)


def record(ceilings=CEILINGS, load=None, work=WORK, curves=(CURVE,)):
    return LatencyRecord("toy", curves, work, ceilings, load, {})


def test_the_table_holds_medians_ratios_and_shares_of_the_roofline():
    table = latency_table(record(), CURVE)
    row = table.rows[1]
    assert [cell.value for cell in row[:3]] == [8, 11.0, pytest.approx(1.1)]
    assert (row[1].low, row[1].high) == (pytest.approx(10.89), pytest.approx(11.11))
    assert row[3].value == pytest.approx(8e-3 / 11e-3)  # 8 GFLOP at 1 TFLOP/s, more than 5 ms of memory
    assert table.csv().splitlines()[0].startswith("nodes,ms_64,ms_64_low,ms_64_high,ratio_64,roofline_64")


def test_without_ceilings_there_is_no_roofline():
    assert latency_table(record(ceilings=None), CURVE).rows[0][3].value is None
    assert latency_table(record(work=None), CURVE).rows[0][3].value is None


def test_sentences_tell_knees_falls_ceilings_and_company():
    told = sentences(record(load=MachineLoad(3.0, 3.0, 2, 2)))
    assert told[0] == "within 10% of one node: up to 8 nodes after 64 tokens, 1 node after 512 tokens"
    assert told[1] == "after 512 tokens, 16 nodes are faster than 8"
    assert told[2] == "ceilings: 200.0 GB/s of memory, 1000 GFLOP/s"
    assert "quiet machine" in told[3]
    assert len(sentences(record(load=MachineLoad(0.0, 1.0, 1, 2)))) == 3
    assert "streamed at 1.50 GB/s" in sentences(record(ceilings=Ceilings(2e11, 1e12, 1.5e9)))[2]


@pytest.mark.parametrize("suffix", thinned([".svg", ".png"]))
def test_equal_records_give_equal_figures(tmp_path, suffix):
    first = draw(record(), tmp_path / f"first{suffix}").read_bytes()
    assert first == draw(record(), tmp_path / f"second{suffix}").read_bytes()
    assert first != draw(record(ceilings=None), tmp_path / f"bare{suffix}").read_bytes()
