"""Where the calls of a decode start: the walk that a configuration itself makes along the recorded text.

A decode begins each call where the last one ended, so hard places are met more often than uniform positions
have them, and which ones depends on the configuration. Along a window of neighbouring starts the text says
where every call would end. The walk enters the window as a long decode does and moves on; positions of the
first half only settle it, those of the second half count with the probability that a call starts there.
Ours.
"""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.compiled import compiled


def visits(window_begins: IntArray, emitted_tokens: IntArray) -> FloatArray:
    """[starts, budgets] probability that a call of the decode starts there, given the text before it.

    window_begins: [windows + 1], see StartSet. emitted_tokens: [starts, budgets] X of a call at each start.
    Zero where a window settles, so everywhere if all windows hold one start.

    The decode's first call in a window starts e tokens behind its beginning with probability
    Pr[X > e] / E[X], as in a stationary renewal process with the law of X at uniform starts. That law
    neglects what the text before the window says; from there on the text decides alone. Walks from different
    entries soon meet, so the settling half makes the entry matter little where calls are shorter than it.
    """
    lengths = np.diff(window_begins)
    longest = int(lengths.max())
    survival = np.stack([(emitted_tokens > offset).mean(axis=0) for offset in range(longest)])
    entry = survival / emitted_tokens.mean(axis=0)
    found = np.zeros(emitted_tokens.shape)
    compiled(_walk)(window_begins, emitted_tokens, entry, settling_starts(lengths), found)
    return found


def settling_starts(window_lengths: IntArray) -> int:
    """How many of a window's first starts only settle the walk: half of a window, as most starts see it."""
    return (int(np.median(np.repeat(window_lengths, window_lengths))) + 1) // 2


def _walk(
    window_begins: IntArray, emitted_tokens: IntArray, entry: FloatArray, settling: int, found: FloatArray
) -> None:
    longest, budgets = entry.shape
    arriving = np.zeros((longest, budgets))
    for window in range(len(window_begins) - 1):
        first, behind = window_begins[window], window_begins[window + 1]
        length = behind - first
        arriving[:length] = entry[:length]
        for place in range(length):
            for budget in range(budgets):
                mass = arriving[place, budget]
                ends = place + emitted_tokens[first + place, budget]
                if ends < length:
                    arriving[ends, budget] += mass
                if place >= settling:
                    found[first + place, budget] = mass
