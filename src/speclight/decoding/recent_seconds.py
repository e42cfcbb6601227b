"""What calls of a target take now, by the size of their tree, as far as recent calls tell.

A machine that other work shares becomes slower and faster, all sizes of a tree together. A size that was not
called for a while is therefore not taken to cost what it cost then: it stands to the sizes called since as it
did before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cache
from statistics import median

import numpy as np
from scipy.optimize import isotonic_regression

from speclight.arrays import FloatArray

CEILING = 64
"""Nodes of the largest tree that `auto` considers, root included."""
# Medians are of so many recent calls: one interruption by another process moves none of them.
RECENT = 9
# And of what a size costs beside others, of so many of its own: that changes little, but plain calls are rare
# while drafting pays.
COSTS, PLAIN_COSTS = 15, 5
# What a size costs beside others is learned from the others' calls among so many last ones, and, once it is
# known, only if they are at least so many: a single one would pass its own chance on to all that follow.
BESIDE, LEAST_BESIDE = 8, 3
# Of a median: a smaller change does not count.
REDRAWN = 0.01
# A size never tried is taken to cost this share of a plain call for each node: low, so that it is tried.
HOPED_GROWTH = 0.03


@dataclass(slots=True)
class RecentSeconds:
    """Seconds of a target call, drafting left out, by the size of its tree.

    They are a common pace, the median over the last calls, times a cost of each size, the median over its own
    last calls.
    """

    _recent: dict[int, deque[float]] = field(default_factory=dict[int, deque[float]])  # over the pace then
    _costs: dict[int, float] = field(default_factory=dict[int, float])
    _paces: deque[tuple[int, float]] = field(default_factory=lambda: deque[tuple[int, float]](maxlen=RECENT))
    _pace: float = 0.0
    _drawn: dict[int, float] = field(default_factory=dict[int, float])  # the costs the curve was drawn from
    _curve: FloatArray = field(default_factory=lambda: np.zeros(CEILING))

    def learn(self, size: int, seconds: float) -> None:
        """One call more."""
        named = _size_class(size)
        kept = PLAIN_COSTS if named == 1 else COSTS
        recent = self._recent.setdefault(named, deque(maxlen=kept))
        others = [(other, pace) for other, pace in list(self._paces)[-BESIDE:] if other != named]
        # Costs of trees are those beside plain calls: learned from each other, while plain calls are rare,
        # all of them could wander off together.
        plain = [pace for other, pace in others if other == 1]
        beside = plain if len(plain) >= LEAST_BESIDE else [pace for _, pace in others]
        if len(recent) < kept or (len(beside) >= LEAST_BESIDE and (named == 1 or beside is plain)):
            recent.append(seconds / median(beside) if beside else self._costs.get(named, 1.0))
            self._costs[named] = median(recent)
        self._paces.append((named, seconds / self._costs[named]))
        self._pace = median(pace for _, pace in self._paces)

    @property
    def plain(self) -> float:
        """Of a call that scores the root alone; 0 before one."""
        return self._pace * self._costs.get(1, 0.0)

    @property
    def plain_calls(self) -> int:
        """How many of them that tells, PLAIN_COSTS at the most."""
        return len(self._recent.get(1, ()))

    @property
    def largest(self) -> int:
        """Nodes of the largest trees timed, rounded up to the sizes timed together; 1 before any."""
        return max(self._recent, default=1)

    @property
    def curve(self) -> FloatArray:
        """[CEILING] seconds of trees of 1, 2, ... nodes: measured sizes joined by lines, then as hoped.

        Drawn anew, which takes a fit, where a cost has moved by more than REDRAWN.
        """
        drawn = self._drawn
        if any(abs(own - drawn.get(size, 0.0)) > REDRAWN * own for size, own in self._costs.items()):
            self._drawn = dict(self._costs)
            told = [(size, len(self._recent[size]), own) for size, own in sorted(self._costs.items())]
            self._curve = _joined(told)
        return self._curve * self._pace


def _joined(told: list[tuple[int, int, float]]) -> FloatArray:
    """[CEILING] costs by size. told: sizes measured, rising; of each how many calls, and their median."""
    known = [size for size, _, _ in told]
    # A larger tree takes no less: a size that seems faster is noise, which would draw trees to it.
    fitted = isotonic_regression([own for _, _, own in told], weights=[calls for _, calls, _ in told])
    costs = fitted.x.tolist()
    if known[-1] < CEILING:
        costs.append(costs[-1] + HOPED_GROWTH * costs[0] * (CEILING - known[-1]))
        known.append(CEILING)
    return np.interp(np.arange(1, CEILING + 1), known, costs)


@cache
def _size_class(size: int) -> int:
    """The sizes timed together, named by the largest: 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    named = next(bound for bound in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48) if size <= bound or bound == 48)
    return named if size <= named else CEILING
