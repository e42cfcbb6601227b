"""What a call of a decode takes besides the target's pass and the drafter's own calls.

Growing the tree around the drafter's calls, verifying it, committing what is accepted, handing the text on to
the drafter: taken from decodes with each drafter and growth, because all of it depends on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.latency.level_times import LevelTimes

Phase = Literal["growing", "loop"]


@dataclass(frozen=True, slots=True)
class LoopCall:
    """One call of a decode. growth: as the command line writes it, "none" for plain decoding.

    node_budget: P. nodes: of the tree scored. draft_calls, expanded_nodes: of the drafter, for this tree.
    draft, target, loop: seconds of drafting as a whole, the target's pass, and all else.
    """

    growth: str
    node_budget: int
    nodes: int
    draft_calls: int
    expanded_nodes: int
    draft: float
    target: float
    loop: float


@dataclass(frozen=True, slots=True)
class SecondsByNodes:
    """Seconds on a straight line over the nodes of the tree."""

    of_none: float
    per_node: float

    def at(self, nodes: FloatArray | float) -> FloatArray:
        """[any] seconds of trees of so many nodes, >= 0 unless they stand for a difference."""
        return self.of_none + self.per_node * np.asarray(nodes, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class LoopTimes:
    """One drafter's calls. calls: as they were taken. levels: seconds of its own calls; None for plain ones.

    Each growth has a line of its own for each phase; a growth that was not timed has that of all together.
    Growths of one name and other numbers, such as EAGLE-2's, share a line.
    """

    drafter: str
    calls: tuple[LoopCall, ...]
    levels: LevelTimes | None = None

    def loop_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] verifying, committing and all else around trees of so many nodes."""
        return np.maximum(self._line("loop", growth).at(nodes), 0.0)

    def growing_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] what drafting takes beyond the drafter's calls as `levels` has them; may be below 0."""
        return self._line("growing", growth).at(nodes)

    @property
    def growths(self) -> tuple[str, ...]:
        """Those timed, in order."""
        return tuple(dict.fromkeys(call.growth for call in self.calls))

    def _line(self, phase: Phase, growth: str) -> SecondsByNodes:
        own = [call for call in self.calls if _kind(call.growth) == _kind(growth)] or list(self.calls)
        groups = [[call for call in own if call.node_budget == budget] for budget in _budgets(own)]
        nodes = [float(np.mean([call.nodes for call in group])) for group in groups]
        seconds = [float(np.median([self._seconds(phase, call) for call in group])) for group in groups]
        return _line_through(nodes, seconds)

    def _seconds(self, phase: Phase, call: LoopCall) -> float:
        if phase == "loop":
            return call.loop
        if self.levels is None:
            return call.draft
        return call.draft - self.levels.seconds(call.draft_calls, call.expanded_nodes)


def _budgets(calls: Sequence[LoopCall]) -> list[int]:
    return sorted({call.node_budget for call in calls})


def _kind(growth: str) -> str:
    return growth.partition("=")[0]


def _line_through(nodes: Sequence[float], seconds: Sequence[float]) -> SecondsByNodes:
    """The line of least squares; level where all trees are of about one size."""
    if max(nodes) - min(nodes) < 1.0:
        return SecondsByNodes(float(np.mean(seconds)), 0.0)
    slope, start = np.polyfit(nodes, seconds, 1)
    return SecondsByNodes(float(start), float(slope))
