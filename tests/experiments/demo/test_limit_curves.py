"""The oracle of all families together is the mean over all starts."""

import numpy as np
import pytest

from speclight.experiments.demo.limit_curves import overall_limits
from speclight.experiments.demo.record import ALL_FAMILIES
from speclight.measure.oracle_run import OracleRecord, OracleRow, OracleSettings
from speclight.models.sampling import SamplingSettings


def test_all_starts_count_alike():
    paths = {"code": (0.5, 0.25, 0.125), "qa": (0.1, 0.1, 0.1)}
    rows = [
        OracleRow(f"{family}-{number}", family, 0, number, np.log([1.0, *path]), 3, 3)
        for family, path in paths.items()
        for number in range(2 if family == "code" else 1)
    ]
    limits = overall_limits(OracleRecord(OracleSettings(2, 4, 0), SamplingSettings(0.7), tuple(rows)))
    assert (limits.family, limits.temperature, limits.oracle_contexts) == (ALL_FAMILIES, 0.7, 3)
    (oracle,) = limits.curves
    expected = [1.0, (1.5 + 1.5 + 1.1) / 3, (1.75 + 1.75 + 1.2) / 3, (1.875 + 1.875 + 1.3) / 3]
    assert oracle.values == pytest.approx(expected)
    assert oracle.lows is not None
    assert all(low < value for low, value in zip(oracle.lows[1:], oracle.values[1:], strict=True))
