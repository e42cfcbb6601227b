"""What drafting took at every start, at the node budgets that were traced and between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from speclight.advice.start_set import StartSet
from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class DraftCosts:
    """Mean cost of one draft at every start and node budget; both [starts, budgets].

    calls: batched drafter calls. nodes: nodes whose law was asked for, in all of them.
    """

    calls: FloatArray
    nodes: FloatArray

    @cached_property
    def kinds(self) -> tuple[list[tuple[float, float]], IntArray]:
        """The (calls, nodes) that there are, to two decimals, and [starts, budgets] the number of each.

        Drafts are alike at many starts.
        """
        calls, nodes = self.calls.round(2), self.nodes.round(2)
        kinds, places = np.unique(calls + 1j * nodes, return_inverse=True)
        return [(float(kind.real), float(kind.imag)) for kind in kinds], places.reshape(calls.shape)


class TracedCosts:
    """The costs of one drafter's growths at every start.

    Raises InvalidInput unless all starts were traced with the same growths and node budgets.
    """

    def __init__(self, starts: StartSet, drafter: str) -> None:
        of_starts = [start.drafters[drafter].costs for start in starts.starts]
        self._columns = [(cost.growth, cost.node_budget) for cost in of_starts[0]]
        for costs in of_starts:
            if [(cost.growth, cost.node_budget) for cost in costs] != self._columns:
                raise InvalidInput(
                    f"the starts of the trace hold costs of different growths of {drafter!r}, expected the "
                    "same at all; trace all texts with the same growths and budgets"
                )
        self._calls, self._nodes = (
            np.array([[getattr(cost, field) for cost in costs] for costs in of_starts], dtype=np.float64)
            for field in ("calls", "expanded_nodes")
        )

    def at(self, growth: str, node_budgets: Sequence[int]) -> DraftCosts | None:
        """Costs of a growth, linear between the budgets traced and from nothing at P = 1; None if untraced.

        The number of calls is linear in P for chains and constant for batches; of other trees it rises in
        steps from P to P at one start, and its mean over starts nearly smoothly.
        """
        columns = [place for place, (name, _) in enumerate(self._columns) if name == growth]
        if not columns:
            return None
        columns.sort(key=lambda place: self._columns[place][1])
        traced = [self._columns[place][1] for place in columns]
        return DraftCosts(
            *(
                _interpolated(traced, values[:, columns], node_budgets)
                for values in (self._calls, self._nodes)
            )
        )


def _interpolated(traced: Sequence[int], values: FloatArray, node_budgets: Sequence[int]) -> FloatArray:
    knots = np.array(traced, dtype=np.float64)
    if knots[0] > 1.0:
        knots, values = np.insert(knots, 0, 1.0), np.insert(values, 0, 0.0, axis=1)
    wanted = np.array(node_budgets, dtype=np.float64)
    above = np.clip(np.searchsorted(knots, wanted), 1 if len(knots) > 1 else 0, len(knots) - 1)
    below = np.maximum(above - 1, 0)
    width = np.where(above > below, knots[above] - knots[below], 1.0)
    share = np.where(above > below, (wanted - knots[below]) / width, 0.0)
    return values[:, below] * (1.0 - share) + values[:, above] * share
