"""Where two texts part."""

from __future__ import annotations

from collections.abc import Sequence


def common_prefix_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts share before the first that differs, or before the shorter one ends."""
    shared = min(len(one), len(other))
    return next((place for place in range(shared) if one[place] != other[place]), shared)
