"""What a call of each configuration takes: the target's pass, drafting, and the loop around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from speclight.advice.draft_costs import DraftCosts
from speclight.advice.score import Score
from speclight.advice.traced_calls import TracedCalls
from speclight.arrays import FloatArray
from speclight.checks import finite_number
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve

NORMAL_MIDDLE_HALF = 1.349  # of a normal law, in standard deviations


class DraftTime(Protocol):
    """Says how long a drafter takes to draft, as `LevelTimes` does."""

    def seconds(self, calls: float, expanded_nodes: float) -> float:
        """Of a whole draft that took so many drafter calls, and asked for the laws after so many nodes."""
        ...


class LoopTime(Protocol):
    """Says what a call takes besides the target's pass and the drafter's own calls, as `LoopTimes` does."""

    def loop_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] verifying and committing trees of so many nodes."""
        ...

    def growing_seconds(self, growth: str, nodes: FloatArray | float) -> FloatArray:
        """[any] drafting such trees, beyond what the drafter's calls take; may be below 0."""
        ...


@dataclass(frozen=True, slots=True)
class CallSeconds:
    """Seconds of each call; all [starts, budgets].

    target: one pass. draft: drafting before it. loop: verifying, committing and all else around it.
    """

    target: FloatArray
    draft: FloatArray
    loop: FloatArray

    @property
    def total(self) -> FloatArray:
        """[starts, budgets] all of it."""
        return self.target + self.draft + self.loop


@dataclass(frozen=True, slots=True)
class OneCall:
    """Seconds of a single call, as in `CallSeconds`."""

    target: float
    draft: float
    loop: float


@dataclass(frozen=True)
class CallPrices:
    """The machine, as far as speed depends on it.

    target: T(nodes, context). context_tokens: committed tokens before a call, on average. drafters: how long
    each takes, by the names of the trace. loops: what calls take besides, by the same names and that of
    plain decoding, of which they take no less; nothing where it is not known. loop_seconds: around each call,
    >= 0, in place of what `loops` say. Texts of a batch are scored together; they are drafted for and
    committed one after the other.
    Raises InvalidInput for a curve without single nodes, which plain decoding needs.
    """

    target: CallTimeCurve
    context_tokens: float = 0.0
    drafters: Mapping[str, DraftTime] = field(default_factory=dict)
    loop_seconds: float | None = None
    loops: Mapping[str, LoopTime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected, remedy = "seconds >= 0", "leave it out to take what was measured"
        if (
            self.loop_seconds is not None
            and finite_number("loop_seconds", self.loop_seconds, expected, remedy) < 0.0
        ):
            raise InvalidInput(f"got loop_seconds {self.loop_seconds}, expected {expected}; {remedy}")
        if int(self.target.nodes[0]) != 1:
            raise InvalidInput(
                f"the call times begin at {int(self.target.nodes[0])} nodes, expected 1, which is plain "
                "decoding; time calls with node budget 1 among them",
                argument="node_budgets",
            )

    @property
    def largest(self) -> int:
        """The largest tree that was timed."""
        return int(self.target.nodes[-1])

    @property
    def plain_seconds(self) -> float:
        """One call of plain decoding."""
        return self.target.seconds(1, self.context_tokens) + self.plain_loop

    @cached_property
    def plain_loop(self) -> float:
        """Of a call of plain decoding, what is around the target's pass."""
        return float(self._loop(NO_DRAFTER, NO_DRAFTER, 1.0))

    @cached_property
    def unevenness(self) -> float:
        """Standard deviation of the logarithm of a call's seconds, by the middle halves of those timed."""
        middle_half = np.log(self.target.high / self.target.low)
        return float(np.median(middle_half)) / NORMAL_MIDDLE_HALF

    @cached_property
    def by_size(self) -> FloatArray:
        """[largest] seconds of the target's pass with 1, 2, ... nodes."""
        measured = self.target.at(self.context_tokens)
        return np.interp(np.arange(1, self.largest + 1), self.target.nodes, measured)

    def of(self, calls: TracedCalls) -> CallSeconds:
        """The seconds of every call. Raises InvalidInput for what was not timed, see `can_price`."""
        assert calls.costs is not None, "see can_price"
        drafter, growth = calls.drafter, calls.growth
        sizes = np.rint(calls.sizes).astype(np.int64)
        drafting = _drafting(self.drafters[drafter], calls.costs)
        return CallSeconds(
            self.by_size[sizes - 1],
            self._whole_drafting(drafter, growth, drafting, calls.sizes),
            self._loop(drafter, growth, calls.sizes),
        )

    def of_one(self, drafter: str, growth: str, size: int, draft_calls: int, draft_nodes: int) -> OneCall:
        """Target, drafting and loop of a single call whose tree and drafting are known."""
        levels = np.array(self.drafters[drafter].seconds(draft_calls, draft_nodes))
        drafting = self._whole_drafting(drafter, growth, levels, float(size)) if draft_calls else levels
        return OneCall(
            float(self.by_size[size - 1]),
            float(drafting),
            float(self._loop(drafter, growth, float(size))),
        )

    def mean_seconds(self, found: Score) -> float:
        """One call with the mean size and the mean cost of drafting: near enough for a picture."""
        told, passing = found.configuration, self.target.seconds(found.nodes, self.context_tokens)
        if told.is_plain:
            return passing + self.plain_loop
        assert found.draft_calls is not None, "see can_price_mean"
        assert found.draft_nodes is not None, "both or none"
        levels = np.array(self.drafters[told.drafter].seconds(found.draft_calls, found.draft_nodes))
        drafting = self._whole_drafting(told.drafter, told.growth, levels, found.nodes)
        return passing + float(drafting) + float(self._loop(told.drafter, told.growth, found.nodes))

    def can_price_mean(self, found: Score) -> bool:
        """The same of `mean_seconds`."""
        told = found.configuration
        is_timed = told.drafter in self.drafters and found.draft_calls is not None
        return found.nodes <= self.largest and (told.is_plain or is_timed)

    def can_price(self, calls: TracedCalls) -> bool:
        """Whether the trace tells what drafting took, and the drafter was timed."""
        return calls.costs is not None and calls.drafter in self.drafters

    def _whole_drafting(
        self, drafter: str, growth: str, levels: FloatArray, nodes: FloatArray | float
    ) -> FloatArray:
        """Of all texts. levels: seconds of the drafter's own calls, for one."""
        if drafter in self.loops:
            levels = np.maximum(levels + self.loops[drafter].growing_seconds(growth, nodes), 0.0)
        return self.target.batch_size * levels

    def _loop(self, drafter: str, growth: str, nodes: FloatArray | float) -> FloatArray:
        if self.loop_seconds is not None:
            return np.full_like(np.asarray(nodes, dtype=np.float64), self.loop_seconds)
        if drafter not in self.loops:
            return np.zeros_like(np.asarray(nodes, dtype=np.float64))
        seconds = self.target.batch_size * self.loops[drafter].loop_seconds(growth, nodes)
        # A single node is verified and committed in no more than any tree.
        return seconds if drafter == NO_DRAFTER else np.maximum(seconds, self.plain_loop)


def _drafting(drafter: DraftTime, costs: DraftCosts) -> FloatArray:
    """[starts, budgets] seconds."""
    kinds, places = costs.kinds
    return np.array([drafter.seconds(calls, nodes) for calls, nodes in kinds])[places]
