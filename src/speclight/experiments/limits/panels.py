"""What a picture of bounds shows: curves over the node budget, a panel per target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from speclight.errors import InvalidInput
from speclight.theory.bound import Bound


@dataclass(frozen=True, slots=True)
class BoundCurve:
    """One curve of a panel.

    values: tokens per call, one per node budget of the panel. side "measured": simulated or searched.
    """

    name: str
    side: Literal["upper", "lower", "asymptotic", "measured"]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BoundPanel:
    """One target. budgets: increasing P. Raises InvalidInput if a curve has another number of values."""

    title: str
    budgets: tuple[int, ...]
    curves: tuple[BoundCurve, ...]

    def __post_init__(self) -> None:
        for curve in self.curves:
            if len(curve.values) != len(self.budgets):
                raise InvalidInput(
                    f"the curve {curve.name!r} has {len(curve.values)} values for {len(self.budgets)} budgets"
                )


def budgets_up_to(largest: int) -> tuple[int, ...]:
    """P in steps of a third of a doubling, the largest included."""
    steps = {round(2.0 ** (step / 3)) for step in range(64)}
    return tuple(sorted({budget for budget in steps if budget < largest} | {largest}))


def panel_of_bounds(title: str, budgets: tuple[int, ...], found: Sequence[Sequence[Bound]]) -> BoundPanel:
    """A curve for every statement that each budget has. found: per budget, its bounds."""
    values = [{bound.name: bound.value for bound in bounds} for bounds in found]
    return BoundPanel(
        title,
        budgets,
        tuple(
            BoundCurve(bound.name, bound.side, tuple(at_budget[bound.name] for at_budget in values))
            for bound in found[-1]
            if all(bound.name in at_budget for at_budget in values)
        ),
    )
