"""The loops of `StepHistogram`, compiled when this module is imported: a look at every token of each law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_compiled: Any = njit(cache=True, nogil=True)
# Sums may be taken in any order, so that a processor takes several at once.
_compiled_in_any_order: Any = njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})


@_compiled_in_any_order
def _moments(law: Any, log_probs: Any, largest: float, scale: float, guard: float, places: Any) -> Any:
    """The entropy and the second log-moment of a law, [vocab]; fill in the bin of every token."""
    entropy = second_moment = 0.0
    last = np.float64(np.iinfo(np.int32).max)
    for token in range(len(law)):
        surprisal = min(-log_probs[token], largest)
        weighted = law[token] * surprisal
        entropy += weighted
        second_moment += weighted * surprisal
        # A float64 softmax can exceed 1 by rounding; its surprisal is then a hair below 0.
        places[token] = np.int32(min(max(surprisal * scale + guard, 0.0), last))
    return entropy, second_moment


@_compiled
def add_law(
    law: Any,
    log_probs: Any,
    left_out: Any,
    mass: Any,
    counts: Any,
    scale: float,
    guard: float,
    largest: float,
) -> Any:
    """Add a law, [vocab], to the mass and counts of its bins, [bins]; its entropy and second log-moment.

    left_out: tokens that are in no bin. What lies beyond the last bin is in none either. scale: bins a nat.
    """
    places, bins = np.empty(len(law), np.int32), len(mass)
    moments = _moments(law, log_probs, largest, scale, guard, places)
    for token in left_out:
        places[token] = bins
    for token in range(len(law)):
        place = places[token]
        if place < bins:
            mass[place] += law[token]
            counts[place] += 1.0
    return moments
