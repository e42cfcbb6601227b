"""Seconds of a drafter's calls, by how many nodes they look at: the cost of a level of a tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.measure.latency.curve import QUARTILES


@dataclass(frozen=True, slots=True)
class TimedLevel:
    """One call of a drafter while it grew a tree. level: 0 looks at the root. nodes: looked at in it."""

    node_budget: int
    level: int
    nodes: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class LevelTimes:
    """Seconds of a drafter's calls as measured: medians, and the quartiles around them.

    first: [low, median, high] of the root's call, which reads what the target's last call emitted as well.
    nodes: [sizes] looked at in one of the later calls, increasing; only sizes that growing met. medians, low,
    high: [sizes] seconds.
    """

    drafter: str
    context_tokens: int
    first: FloatArray
    nodes: IntArray
    medians: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of_levels(cls, drafter: str, context_tokens: int, levels: tuple[TimedLevel, ...]) -> LevelTimes:
        """The times of levels as they were taken, at least one of them the root's."""
        middle = (QUARTILES[0], 0.5, QUARTILES[1])
        first = np.quantile([item.seconds for item in levels if item.level == 0], middle)
        later = [item for item in levels if item.level > 0]
        sizes = sorted({item.nodes for item in later})
        by_size = [
            np.quantile([item.seconds for item in later if item.nodes == size], middle) for size in sizes
        ]
        low, medians, high = np.array(by_size).reshape(-1, 3).T
        return cls(drafter, context_tokens, first, np.array(sizes, dtype=np.int64), medians, low, high)

    def level_seconds(self, nodes: float) -> float:
        """Of a later call that looks at so many nodes: on straight lines between the sizes met.

        Beyond them it is the nearest one's; the first call's where growing never came to a second.
        """
        if not len(self.nodes):
            return float(self.first[1])
        return float(np.interp(nodes, self.nodes, self.medians))

    def seconds(self, calls: float, expanded_nodes: float) -> float:
        """Of a whole draft: its first call, and later ones that share the other nodes evenly.

        Numbers may be means over many drafts; less than one call is that share of a first one.
        """
        if calls <= 1:
            return max(0.0, calls) * float(self.first[1])
        later = calls - 1
        return float(self.first[1]) + later * self.level_seconds((expanded_nodes - 1) / later)
