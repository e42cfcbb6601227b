"""The oracle of all families together is the mean over all starts."""

import numpy as np
import pytest

from speclight.experiments.demo.limit_curves import overall_limits
from speclight.experiments.demo.record import ALL_FAMILIES
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.trace.record import Trace
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.traced import TracedStart
from speclight.models.sampling import SamplingSettings


def test_all_starts_count_alike():
    paths = {"code": (0.5, 0.25, 0.125), "qa": (0.1, 0.1, 0.1)}
    best = np.arange(4)
    starts = [
        TracedStart(f"{family}-{number}", family, 0, 1, number, 0, (), np.log([1.0, *path]), best, {})
        for family, path in paths.items()
        for number in range(2 if family == "code" else 1)
    ]
    limits = overall_limits(
        Trace(
            "toy",
            None,
            SamplingSettings(0.7),
            TraceSettings((4,), window=1),
            (),
            tuple(starts),
            Profile(ProfileSettings(), (), {}),
        )
    )
    assert (limits.family, limits.temperature, limits.oracle_contexts) == (ALL_FAMILIES, 0.7, 3)
    (oracle,) = limits.curves
    expected = [1.0, (1.5 + 1.5 + 1.1) / 3, (1.75 + 1.75 + 1.2) / 3, (1.875 + 1.875 + 1.3) / 3]
    assert oracle.values == pytest.approx(expected)
    assert oracle.lows is not None
    assert all(low < value for low, value in zip(oracle.lows[1:], oracle.values[1:], strict=True))
