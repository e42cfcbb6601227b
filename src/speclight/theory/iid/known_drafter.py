"""What is known of a drafter, and the value of a statement about it with its sampling error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from speclight.theory.bound import Bound, Interval
from speclight.theory.iid.lemma_7 import DrafterMoments
from speclight.theory.laws.step_law import StepLaw

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class OwnMoments:
    """Mean entropy mu (nats) and second log-moment mu2 (nats^2) of a law, the drafter's own."""

    mu: float
    mu2: float


@dataclass(frozen=True, slots=True)
class DrafterReplica:
    """A drafter as a resampled set of prompts shows it."""

    moments: DrafterMoments
    law: StepLaw


@dataclass(frozen=True, slots=True)
class KnownDrafter:
    """How a drafter meets the target, and what its own law is.

    moments: cross-entropy and misses over the target's tokens. law: the drafter's step law under itself.
    own_moments: its two moments, where they are known without the law. unsampled, replicas: the same data on
    the lattice of the replicas, and bootstrap replicas by prompt; without them values have no interval.
    """

    moments: DrafterMoments
    law: StepLaw | None = None
    own_moments: OwnMoments | None = None
    unsampled: DrafterReplica | None = None
    replicas: tuple[DrafterReplica, ...] = ()

    def bound(self, form: Callable[[DrafterMoments, StepLaw | None], Bound]) -> Bound:
        """The statement on this drafter; its interval moves the value as the replicas move theirs."""
        found = form(self.moments, self.law)
        if self.unsampled is None or not self.replicas:
            return found
        plain = form(self.unsampled.moments, self.unsampled.law).value
        shifts = np.array([form(drawn.moments, drawn.law).value for drawn in self.replicas]) - plain
        low, high = np.quantile(shifts, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        interval = Interval(max(found.value + float(low), 0.0), found.value + float(high), LEVEL)
        return replace(found, interval=interval)


def drafter_from_numbers(
    cross_entropy: float,
    miss_probability: float,
    law: StepLaw | None = None,
    own_moments: OwnMoments | None = None,
) -> KnownDrafter:
    """A drafter of which two numbers are known, m (nats, misses counted as 0) and eps.

    The paper displays the mean ratio over contexts; of two numbers its conditional reading is what is known.
    """
    hits = 1.0 - miss_probability
    conditional = cross_entropy / hits if hits > 0.0 else 0.0
    return KnownDrafter(DrafterMoments(miss_probability, cross_entropy, conditional), law, own_moments)
