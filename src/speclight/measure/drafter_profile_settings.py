"""How closely a drafter is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers


@dataclass(frozen=True, slots=True)
class DrafterProfileSettings:
    """How closely a drafter is looked at. Raises InvalidInput for counts below 1."""

    node_budget: int = 60
    """The largest node budget P; every smaller one comes with it."""
    every: int = 4
    """Look at one token in this many as a start."""
    depths: int = 8
    """Depths of a chain drafted along the text at every start, to see how laws get worse."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "node_budget", "every", "depths")
