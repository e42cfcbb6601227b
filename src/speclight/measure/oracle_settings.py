"""How far the oracle searches."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers


@dataclass(frozen=True, slots=True)
class OracleSettings:
    """How far the oracle searches. Raises InvalidInput for counts below 1."""

    contexts: int = 40
    """Contexts searched per family, at the most, spread evenly over all usable positions."""
    node_budget: int = 64
    """The largest node budget P; every smaller one comes with it."""
    seed: int = 0
    """Seed of the choice of contexts."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "contexts", "node_budget")
        check_whole_numbers(self, "seed", at_least=0)
