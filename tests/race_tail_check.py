"""Do race winners have the law of a real vocabulary, its tail included? By counting winners of the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from speclight.arrays import FloatArray, IntArray
from speclight.trees.race_noise import RaceField, exponential_times, race_winner

# Tokens counted one by one; the others in bins of their probability, one a factor of 10.
COUNTED_SINGLY = 50
SMALLEST_CELL = 10.0
# A winner later than this, times its probability, has probability 3e-20.
LATEST = 45.0


@dataclass(frozen=True, slots=True)
class TailCheck:
    """races: how many were run. p_value: chi-square over `cells`. tail_races, tail_expected: winners outside
    the COUNTED_SINGLY most probable tokens.
    """

    races: int
    p_value: float
    cells: int
    tail_races: int
    tail_expected: float


def check_tail(law: FloatArray, races: int, seed: int) -> TailCheck:
    """Run `races` races of the field under `law` [vocab] at successive positions and compare with the law.

    The words are those the field hands out. Only tokens that arrive by LATEST times their probability are
    turned into times: all others have lost.
    """
    field, vocabulary = RaceField(seed), len(law)
    latest = np.minimum(LATEST * law, 1.0) * 2.0**64
    threshold = np.minimum(latest, 2.0**64 - 2.0**12).astype(np.uint64)
    winners = np.empty(races, dtype=np.int64)
    for position in range(races):
        words = field.words(position, noise_set=0, arrival=0, block=0, count=vocabulary)
        early = np.flatnonzero(words <= threshold)
        early = early[law[early] > 0.0]
        winners[position] = early[race_winner(law[early], exponential_times(words[early]))]
    return _compare(law, winners)


def _compare(law: FloatArray, winners: IntArray) -> TailCheck:
    races, likeliest = len(winners), np.argsort(-law, kind="stable")
    cell = np.empty(len(law), dtype=np.int64)
    tail = likeliest[COUNTED_SINGLY:]
    cell[likeliest[:COUNTED_SINGLY]] = np.arange(min(COUNTED_SINGLY, len(law)))
    decade = np.floor(-np.log10(np.maximum(law[tail], 1e-300))).astype(np.int64)
    cell[tail] = COUNTED_SINGLY + decade
    cells = int(cell.max()) + 1
    expected = np.bincount(cell, weights=law, minlength=cells) * races
    seen = np.bincount(cell[winners], minlength=cells).astype(np.float64)
    small = expected < SMALLEST_CELL
    expected, observed = (
        np.append(expected[~small], expected[small].sum()),
        np.append(seen[~small], seen[small].sum()),
    )
    keep = expected > 0.0
    chi_square = float(((observed[keep] - expected[keep]) ** 2 / expected[keep]).sum())
    return TailCheck(
        races=races,
        p_value=float(stats.chi2.sf(chi_square, int(keep.sum()) - 1)),
        cells=int(keep.sum()),
        tail_races=int((cell[winners] >= COUNTED_SINGLY).sum()),
        tail_expected=float(law[tail].sum() * races),
    )
