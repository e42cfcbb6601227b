"""The root of a monotone function on an interval, by halving it."""

from __future__ import annotations

from collections.abc import Callable


def increasing_root(function: Callable[[float], float], low: float, high: float, width: float = 0.0) -> float:
    """The point of [low, high] where an increasing function turns positive, at most `width` too high.

    function(high) is taken to be >= 0. width = 0 halves down to neighbouring floats (about 60 steps); the
    upper end of the last interval is returned, so function(result) >= 0.
    """
    while high - low > width:
        middle = low + (high - low) / 2.0
        if middle in (low, high):
            break
        if function(middle) >= 0.0:
            high = middle
        else:
            low = middle
    return high
