"""Pooled lines on planted times: nearer to the truth than each kind's own, and no flatter where kinds differ.

The planted machine: five kinds of trees of five sizes, each a run of eight calls. What is timed takes 7 ms
and 1 ms a node; the machine moves a whole run by a share of that, and each call by another. Fixed seed, 16
machines.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from speclight.measure.latency.pooled_lines import TimedRun, pooled_lines

KINDS = tuple("abcde")
SIZES = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
CALLS, MACHINES = 8, 16


@dataclass(frozen=True)
class Planted:
    """apart: deviation of what kinds take for a call and, a twentieth of it, for a node. moved: see above."""

    apart: float
    moved: float

    def machine(self, rng):
        """Runs, and [kinds, sizes] what they take in truth, which is also what is looked for."""
        true = np.stack(
            [
                1.0 + rng.normal(0.0, self.apart) + (0.05 + rng.normal(0.0, self.apart / 20.0)) * SIZES
                for _ in KINDS
            ]
        )
        runs = []
        for kind, row in zip(KINDS, true, strict=True):
            for size, seconds in zip(SIZES, row, strict=True):
                whole = 7.0 + size
                taken = seconds + whole * (
                    rng.normal(0.0, self.moved) + rng.normal(0.0, self.moved / 2, CALLS)
                )
                runs.append(TimedRun(kind, size, taken.mean(), taken.std(ddof=1) / CALLS**0.5, whole))
        return runs, true


def own_lines(runs):
    """[kinds, sizes] by each kind's line of least squares."""
    lines = []
    for kind in KINDS:
        own = [run for run in runs if run.kind == kind]
        lines.append(np.polyval(np.polyfit([r.nodes for r in own], [r.seconds for r in own], 1), SIZES))
    return np.stack(lines)


def compared(planted):
    """[machines, own or pooled, kinds, sizes] seconds found, and [machines, kinds, sizes] the true ones."""
    rng = np.random.default_rng(5)
    found, true = [], []
    for _ in range(MACHINES):
        runs, truth = planted.machine(rng)
        lines = pooled_lines(runs)
        found.append([own_lines(runs), np.stack([lines.of(kind).at(SIZES) for kind in KINDS])])
        true.append(truth)
    return np.array(found), np.array(true)


def test_pooled_lines_are_nearer_to_the_truth_and_flatter_less():
    """Kinds differ by 0.1 ms, runs by a tenth of 9 to 39 ms: what a search for the fastest finds is luck."""
    found, true = compared(Planted(apart=0.1, moved=0.1))
    errors = found - true[:, None]
    own, pooled = np.sqrt((errors**2).mean(axis=(0, 2, 3)))
    assert pooled < 0.6 * own
    small = found[..., 0]
    fastest = small.argmin(axis=-1)
    flattered = np.take_along_axis(errors[..., 0], fastest[..., None], axis=-1)[..., 0].mean(axis=0)
    assert flattered[0] < -0.8
    assert abs(flattered[1]) < 0.3 * abs(flattered[0])


def test_differences_that_are_well_measured_survive():
    """Kinds differ by 3 ms, runs by a hundredth of 9 to 39 ms."""
    found, true = compared(Planted(apart=3.0, moved=0.01))
    own, pooled = np.sqrt(((found - true[:, None]) ** 2).mean(axis=(0, 2, 3)))
    assert pooled < 1.02 * own
    apart, truly = (each - each.mean(axis=1, keepdims=True) for each in (found[:, 1], true))
    assert (apart * truly).sum() / (truly**2).sum() == pytest.approx(1.0, abs=0.02)


def test_one_kind_alone_has_the_line_of_least_squares():
    runs = [TimedRun("a", size, 2.0 + 0.5 * size, 0.0, 10.0) for size in SIZES]
    for lines in (pooled_lines(runs), pooled_lines(runs[:1])):
        assert lines.of("a") == lines.of("b") == lines.common
    assert pooled_lines(runs).common.at(10.0) == pytest.approx(7.0)
    assert pooled_lines(runs[:1]).common.at(10.0) == pytest.approx(3.0)  # one size: level


def test_runs_without_noise_keep_their_lines():
    runs = [
        TimedRun(kind, size, start + slope * size, 0.0, 10.0)
        for kind, start, slope in (("a", 1.0, 0.5), ("b", 4.0, 0.0), ("c", 0.0, 1.0))
        for size in SIZES
    ]
    lines = pooled_lines(runs)
    for kind, seconds in (("a", 6.0), ("b", 4.0), ("c", 10.0)):
        assert lines.of(kind).at(10.0) == pytest.approx(seconds, rel=1e-6)
