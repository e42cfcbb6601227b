"""What a call of a decode takes besides the target's pass and the drafter's own calls.

Growing the tree around the drafter's calls, verifying it, committing what is accepted, handing the text on to
the drafter: taken from decodes with each drafter and growth, because all of it depends on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import Literal

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.latency.level_times import LevelTimes
from speclight.measure.latency.pooled_lines import PooledLines, TimedRun, pooled_lines

Phase = Literal["growing", "loop"]
PHASES: tuple[Phase, ...] = ("growing", "loop")
NORMAL_DEVIATION = 1.4826  # of a normal law, over its median distance from the middle


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


@dataclass(frozen=True, eq=False)
class LoopTimes:
    """One drafter's calls. calls: as they were taken. levels: seconds of its own calls; None for plain ones.

    Each growth has a line of its own for each phase, drawn towards the one of all together as far as the
    calls bid (`pooled_lines`); a growth that was not timed has the latter. Growths of one name and other
    numbers, such as EAGLE-2's, share a line.
    """

    drafter: str
    calls: tuple[LoopCall, ...]
    levels: LevelTimes | None = None

    def loop_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] verifying, committing and all else around trees of so many nodes."""
        return np.maximum(self._loop.of(_kind(growth)).at(nodes), 0.0)

    def growing_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] what drafting takes beyond the drafter's calls as `levels` has them; may be below 0."""
        return self._growing.of(_kind(growth)).at(nodes)

    def runs(self, phase: Phase) -> list[TimedRun]:
        """What the lines of a phase go through: the calls of each kind of tree at each node budget."""
        runs: dict[tuple[str, int], list[LoopCall]] = {}
        for call in self.calls:
            runs.setdefault((_kind(call.growth), call.node_budget), []).append(call)
        return [self._run(kind, phase, calls) for (kind, _), calls in runs.items()]

    @property
    def growths(self) -> tuple[str, ...]:
        """Those timed, in order."""
        return tuple(dict.fromkeys(call.growth for call in self.calls))

    @cached_property
    def _loop(self) -> PooledLines:
        return pooled_lines(self.runs("loop"))

    @cached_property
    def _growing(self) -> PooledLines:
        return pooled_lines(self.runs("growing"))

    def _run(self, kind: str, phase: Phase, calls: Sequence[LoopCall]) -> TimedRun:
        seconds = np.array([self._seconds(phase, call) for call in calls])
        whole = np.median([call.loop if phase == "loop" else call.draft for call in calls])
        middle = float(np.median(seconds))
        # Calls of a normal law, but for a few slow ones: from their median distance, the error of a median.
        deviation = NORMAL_DEVIATION * float(np.median(np.abs(seconds - middle)))
        error = sqrt(pi / 2.0 / len(calls)) * deviation
        nodes = float(np.mean([call.nodes for call in calls]))
        return TimedRun(kind, nodes, middle, error, float(whole))

    def _seconds(self, phase: Phase, call: LoopCall) -> float:
        if phase == "loop":
            return call.loop
        if self.levels is None:
            return call.draft
        return call.draft - self.levels.seconds(call.draft_calls, call.expanded_nodes)


def _kind(growth: str) -> str:
    return growth.partition("=")[0]
