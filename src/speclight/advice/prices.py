"""What a call of each configuration takes: the target's pass, drafting, and the loop around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from speclight.advice.draft_costs import DraftCosts
from speclight.advice.score import Score
from speclight.advice.traced_calls import TracedCalls
from speclight.arrays import FloatArray
from speclight.checks import finite_number
from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve


class DraftTime(Protocol):
    """Says how long a drafter takes to draft, as `LevelTimes` does."""

    def seconds(self, calls: float, expanded_nodes: float) -> float:
        """Of a whole draft that took so many drafter calls, and asked for the laws after so many nodes."""
        ...


@dataclass(frozen=True, slots=True)
class CallSeconds:
    """Seconds of each call; both [starts, budgets]. target: one pass. draft: all drafter calls before it."""

    target: FloatArray
    draft: FloatArray


@dataclass(frozen=True, slots=True)
class CallPrices:
    """The machine, as far as speed depends on it.

    target: T(nodes, context). context_tokens: committed tokens before a call, on average. drafters: how long
    each takes, by the names of the trace. loop_seconds: around each call, verifying and committing
    included, >= 0. Texts of a batch are scored together and drafted for one after the other.
    Raises InvalidInput for a curve without single nodes, which plain decoding needs.
    """

    target: CallTimeCurve
    context_tokens: float = 0.0
    drafters: Mapping[str, DraftTime] = field(default_factory=dict)
    loop_seconds: float = 0.0

    def __post_init__(self) -> None:
        expected, remedy = "seconds >= 0", "leave it out for none"
        if finite_number("loop_seconds", self.loop_seconds, expected, remedy) < 0.0:
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
        return self.target.seconds(1, self.context_tokens) + self.loop_seconds

    def by_size(self) -> FloatArray:
        """[largest] seconds of the target's pass with 1, 2, ... nodes."""
        measured = self.target.at(self.context_tokens)
        return np.interp(np.arange(1, self.largest + 1), self.target.nodes, measured)

    def of(self, calls: TracedCalls) -> CallSeconds:
        """The seconds of every call. Raises InvalidInput for what was not timed, see `can_price`."""
        assert calls.costs is not None, "see can_price"
        sizes = np.rint(calls.sizes).astype(np.int64)
        return CallSeconds(
            self.by_size()[sizes - 1],
            self.target.batch_size * _drafting(self.drafters[calls.drafter], calls.costs),
        )

    def mean_seconds(self, found: Score) -> float:
        """One call with the mean size and the mean cost of drafting: near enough for a picture."""
        told, drafting = found.configuration, 0.0
        if not told.is_plain:
            assert found.draft_calls is not None, "see can_price_mean"
            assert found.draft_nodes is not None, "both or none"
            drafting = self.drafters[told.drafter].seconds(found.draft_calls, found.draft_nodes)
        passing = self.target.seconds(found.nodes, self.context_tokens)
        return passing + self.target.batch_size * drafting + self.loop_seconds

    def can_price_mean(self, found: Score) -> bool:
        """The same of `mean_seconds`."""
        told = found.configuration
        is_timed = told.drafter in self.drafters and found.draft_calls is not None
        return found.nodes <= self.largest and (told.is_plain or is_timed)

    def can_price(self, calls: TracedCalls) -> bool:
        """Whether the trace tells what drafting took, and the drafter was timed."""
        return calls.costs is not None and calls.drafter in self.drafters


def _drafting(drafter: DraftTime, costs: DraftCosts) -> FloatArray:
    """[starts, budgets] seconds. Drafts are alike at many starts, so each kind is priced once."""
    calls, nodes = costs.calls.round(2), costs.nodes.round(2)
    kinds, places = np.unique(calls + 1j * nodes, return_inverse=True)
    seconds = np.array([drafter.seconds(float(kind.real), float(kind.imag)) for kind in kinds])
    return seconds[places].reshape(calls.shape)
