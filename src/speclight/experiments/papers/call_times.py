"""Assumption 1 of the paper, a call of T whatever P is and free drafting, beside what was timed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.errors import InvalidInput
from speclight.measure.latency.record import LatencyRecord


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """Times of a machine over those of a call of one position, T(1), at one context length.

    growth: T(P)/T(1) by P, rising P. drafting: a drafter's first call, which looks at the root alone, over
    T(1): what a draft takes at least.
    """

    target: str
    context_tokens: int
    growth: dict[int, float]
    drafting: dict[str, float]


def measured_times(record: LatencyRecord, largest_budget: int) -> MeasuredTimes:
    """Of a latency record's longest context, up to the largest node budget that matters.

    Raises InvalidInput for call times that do not begin at one position.
    """
    curve = record.curve
    context = int(curve.context_tokens[-1])
    seconds, nodes = np.asarray(curve.at(context)), curve.nodes.tolist()
    if nodes[0] != 1:
        raise InvalidInput(
            f"the call times begin at {nodes[0]} nodes, expected 1; time calls with node budget 1 among them"
        )
    one = float(seconds[0])
    return MeasuredTimes(
        record.target,
        context,
        {
            int(size): float(taken) / one
            for size, taken in zip(nodes, seconds.tolist(), strict=True)
            if size <= largest_budget
        },
        {each.drafter: float(each.first[1]) / one for each in record.drafters},
    )
