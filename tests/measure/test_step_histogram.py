"""The compiled loop adds laws as the definition says: bins, masses, counts and moments."""

import numpy as np
import pytest

from speclight.measure.step_histogram import BINS, LARGEST_SURPRISAL, WIDTH, StepHistogram
from speclight.theory.laws.step_law import FLOOR_GUARD

VOCABULARY, ENDS = 3000, (7, 2999)
RTOL = 1e-12  # sums of 3000 terms in another order


def plainly_added(laws, mass, counts, ends):
    """What `StepHistogram.add` returns, array by array; bins are added to in place."""
    moments = []
    for law in laws:
        with np.errstate(divide="ignore"):
            surprisals = np.minimum(-np.log(law), LARGEST_SURPRISAL)
        moments.append(((law * surprisals).sum(), (law * surprisals**2).sum()))
        bins = np.clip(surprisals / WIDTH + FLOOR_GUARD, 0.0, BINS).astype(np.int64)
        bins[list(ends)] = BINS
        mass += np.bincount(bins, weights=law, minlength=BINS + 1)[:BINS]
        counts += np.bincount(bins, minlength=BINS + 1)[:BINS]
    return np.array(moments).T


def some_laws(seed):
    """Flat and steep ones, beyond the last bin and of probability 0, on a lattice, and a certain one."""
    rng = np.random.Generator(np.random.PCG64(seed))
    scores = rng.normal(size=(6, VOCABULARY)) * np.array([0.1, 1.0, 3.0, 10.0, 40.0, 300.0])[:, None]
    laws = np.exp(scores - scores.max(axis=1, keepdims=True))
    laws[1, ::3] = 0.0
    even, certain = np.zeros(VOCABULARY), np.zeros(VOCABULARY)
    even[:8], certain[5] = 1.0, 1.0 + 2.0**-52
    laws = np.vstack([laws, even, certain])
    return laws / laws.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("ends", [(), ENDS], ids=["no end", "two ends"])
def test_laws_are_added_as_the_definition_says(ends):
    laws, mass, counts = some_laws(5), np.zeros(BINS), np.zeros(BINS)
    expected = plainly_added(laws, mass, counts, ends)
    histogram = StepHistogram("toy", VOCABULARY, ends)
    found = np.concatenate([histogram.add(laws[:3]), histogram.add(laws[3:])], axis=1)
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=1e-15)
    table, occupied = histogram.table(), np.flatnonzero(counts)
    assert table["bin"].to_pylist() == occupied.tolist()
    assert table["count"].to_pylist() == counts[occupied].tolist()
    np.testing.assert_allclose(table["mass"].to_numpy(), mass[occupied], rtol=RTOL, atol=0)
