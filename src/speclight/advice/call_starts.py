"""Where the calls of a decode start: the walk that a configuration itself makes along the recorded text.

A decode begins each call where the last one ended, so hard places are met more often than uniform positions
have them, and which ones depends on the configuration. Along a window of neighbouring starts the text says
where every call would end. At the beginning of a text the walk is known: the first call starts there. Any
other window it enters as a long decode does and moves on; positions of the first half only settle it, those
of the second half count with the probability that a call starts there. Ours.
"""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.compiled import compiled


def visits(window_begins: IntArray, positions: IntArray, emitted_tokens: IntArray) -> FloatArray:
    """[starts, budgets] probability that a call of the decode starts there, given the text before it.

    Times the share of `counted_shares`: zero where a window settles, so everywhere if all windows hold one
    start. window_begins: [windows + 1], see StartSet. positions: [starts] in their texts, from 0.
    emitted_tokens: [starts, budgets] X of a call at each start.

    The decode's first call in a window that does not begin its text starts e tokens behind its beginning with
    probability Pr[X > e] / E[X], as in a stationary renewal process with the law of X at uniform starts. That
    law neglects what the text before the window says; from there on the text decides alone. Walks from
    different entries soon meet, so the settling half makes the entry matter little where calls are shorter
    than it.
    """
    longest = int(np.diff(window_begins).max())
    survival = np.stack([(emitted_tokens > offset).mean(axis=0) for offset in range(longest)])
    entry = survival / emitted_tokens.mean(axis=0)
    found = np.zeros(emitted_tokens.shape)
    compiled(_walk)(window_begins, positions, emitted_tokens, entry, found)
    return found * counted_shares(window_begins, positions)[:, None]


def counted_shares(window_begins: IntArray, positions: IntArray) -> FloatArray:
    """[starts] how much a call counts that starts there; 0 where a window only settles the walk.

    1 from as many tokens of a text on as settle a window. Nearer to its beginning the less the more often
    positions are in a window that begins the text, where none need settle: so that, over windows cut at
    random, every position of the texts counts alike.
    """
    lengths = np.diff(window_begins)
    usual = _usual_length(lengths)
    settling = settling_starts(lengths)
    begins = np.repeat(window_begins[:-1], lengths)
    settled = (np.arange(len(positions)) - begins >= settling) | (positions[begins] == 0)
    # A position counts unless its window begins among the last `settling` tokens up to it, but not at the
    # text's beginning: the chance of that rises with the tokens before it, evenly, and then no more. It is
    # 1 / length for each token where windows lie apart, and less where neighbouring ones have become one.
    before = np.minimum(positions, settling)
    lost = min(1.0 / usual, float((~settled).sum() / max(1, before.sum())))
    chances = 1.0 - lost * before
    return np.where(settled, (1.0 - lost * settling) / np.where(settled, chances, 1.0), 0.0)


def settling_starts(window_lengths: IntArray) -> int:
    """How many of a window's first starts only settle the walk: half of a window, as most starts see it."""
    return (_usual_length(window_lengths) + 1) // 2


def _usual_length(window_lengths: IntArray) -> int:
    return int(np.median(np.repeat(window_lengths, window_lengths)))


def _walk(
    window_begins: IntArray,
    positions: IntArray,
    emitted_tokens: IntArray,
    entry: FloatArray,
    found: FloatArray,
) -> None:
    longest, budgets = entry.shape
    arriving = np.zeros((longest, budgets))
    for window in range(len(window_begins) - 1):
        first, behind = window_begins[window], window_begins[window + 1]
        length = behind - first
        if positions[first] == 0:
            arriving[:length] = 0.0
            arriving[0] = 1.0
        else:
            arriving[:length] = entry[:length]
        for place in range(length):
            for budget in range(budgets):
                mass = arriving[place, budget]
                ends = place + emitted_tokens[first + place, budget]
                if ends < length:
                    arriving[ends, budget] += mass
                found[first + place, budget] = mass
