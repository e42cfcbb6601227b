"""The loop of `StepHistogram`, compiled when this module is imported: one look at every token of a law."""

from __future__ import annotations

from typing import Any

from numba import njit

_compiled: Any = njit(cache=True, nogil=True)


@_compiled
def add_law(
    law: Any,
    surprisals: Any,
    left_out: Any,
    mass: Any,
    counts: Any,
    width: float,
    guard: float,
    largest: float,
) -> Any:
    """Add a law, [vocab], to the mass and counts of its bins, [bins]; its entropy and second log-moment.

    left_out: [vocab] whether a token is in no bin. What lies beyond the last bin is in none either.
    """
    entropy = second_moment = 0.0
    bins = len(mass)
    for token in range(len(law)):
        probability = law[token]
        surprisal = min(surprisals[token], largest)
        weighted = probability * surprisal
        entropy += weighted
        second_moment += weighted * surprisal
        # A float64 softmax can exceed 1 by rounding; its surprisal is then a hair below 0.
        place = max(surprisal / width + guard, 0.0)
        if place < bins and not left_out[token]:
            mass[int(place)] += probability
            counts[int(place)] += 1.0
    return entropy, second_moment
