"""Where random numbers start from: every stream is named by a seed and a path of numbers below it.

The same seed and path give the same numbers on every machine (Philox 4x64). Records, golden verdicts and
resumed runs rest on that: a change here changes all of them.
"""

from __future__ import annotations

import numpy as np

from speclight.arrays import WordArray
from speclight.errors import InvalidInput


def stream(seed: int, *path: int) -> np.random.Generator:
    """A generator of its own for every seed and path, such as (seed, text, sample).

    Use paths of one length under a seed: a path that only appends zeros names the same stream (up to four
    numbers in all). Raises InvalidInput for numbers below 0.
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, *path)))


def child_streams(seed: int, count: int) -> list[np.random.Generator]:
    """Generators that share nothing with each other, nor with `stream(seed)`. Raises InvalidInput below 0."""
    return [np.random.Generator(np.random.Philox(child)) for child in _sequence(seed).spawn(count)]


def seed_words(count: int, seed: int, *path: int) -> WordArray:
    """[count] words that depend on seed and path alone, keys for other generators. Errors as `stream`."""
    return np.asarray(_sequence(seed, *path).generate_state(count, np.uint64), dtype=np.uint64)


def derived_seed(seed: int, *path: int) -> int:
    """A seed for every path, for what takes a single number. Errors as `stream`."""
    return int(seed_words(1, seed, *path)[0])


def _sequence(seed: int, *path: int) -> np.random.SeedSequence:
    if min(seed, *path, 0) < 0:
        numbers = ", ".join(map(str, (seed, *path)))
        raise InvalidInput(f"seeds must be >= 0, got {numbers}; choose another seed")
    return np.random.SeedSequence([seed, *path])
