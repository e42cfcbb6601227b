"""What renewal counts on a lattice share: the transform that wraps nothing around, and how far it reaches.

A discrete transform is cyclic, so bins past its length come back at its start. The counts are tilted by
e^(-theta x) to neither grow nor shrink with x, then damped until what comes back is negligible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from speclight.arrays import FloatArray
from speclight.theory.bisection import increasing_root
from speclight.theory.laws.step_law import STORED_RANGE

# Bins past the length of the transform come back at the start, shrunk by this factor.
WRAP_ATTENUATION = 1e-15
TILT_ATOL = 1e-6  # the tilt only has to flatten the sequence, any nearby value does
# First reach of the lattice above ln P, and where to give up: beyond ln P + 32 nats the integrand's
# remainder P e^-t is below 1.3e-14 and is taken at its ceiling.
FIRST_REACH, LAST_REACH = 2.0, 32.0


@dataclass(frozen=True, slots=True)
class Damping:
    """How counts on a lattice are damped before a transform. length: of it. rate: nats for each bin."""

    length: int
    rate: float

    def damped(self, counts: FloatArray) -> FloatArray:
        """[..., bins] counts e^(-rate k)."""
        return counts * np.exp(-self.rate * np.arange(int(counts.shape[-1])))

    def summed(self, transform: FloatArray, node_budget: int) -> FloatArray:
        """[..., bins] min(P, running sums) of damped counts that came back from the transform.

        Where e^(rate k) would overflow, far more than P nodes have been counted already.
        """
        growth = np.exp(np.minimum(self.rate * np.arange(int(transform.shape[-1])), 700.0))
        return np.minimum(np.cumsum(np.maximum(transform, 0.0) * growth, axis=-1), float(node_budget))


def damping_for(bins: int, width: float, growth: Callable[[float], float]) -> Damping:
    """The damping of counts in so many bins of `width` nats.

    growth: by tilt, per nat, how many times as many nodes a generation has as the one before, a decreasing
    function; the tilt is where it is 1, or none where counts die out by themselves.
    """
    length = 1 << (4 * bins - 1).bit_length()
    return Damping(length, _flattening_tilt(growth) * width - log(WRAP_ATTENUATION) / length)


def _flattening_tilt(growth: Callable[[float], float]) -> float:
    def shortfall(theta: float) -> float:
        return 1.0 - growth(theta)

    if shortfall(0.0) >= 0.0:
        return 0.0
    high = 1.0
    while shortfall(high) < 0.0:
        high *= 2.0
    return increasing_root(shortfall, 0.0, high, width=TILT_ATOL)


def counted_to_budget(node_budget: int, width: float, count: Callable[[int], FloatArray]) -> FloatArray:
    """The counts of as many bins as it takes to reach P, or of all that can matter.

    count: by number of bins, [..., bins] nodes up to the end of each.
    """
    reach, last = log(node_budget) + FIRST_REACH, min(log(node_budget) + LAST_REACH, STORED_RANGE)
    while True:
        nodes = count(max(1, ceil(min(reach, last) / width)))
        if (nodes[..., -1] >= node_budget).all() or reach >= last:
            return nodes
        reach *= 2.0
