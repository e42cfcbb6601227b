"""How much is replayed."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How much is replayed. Raises InvalidInput for counts and budgets below 1."""

    prompts_per_family: int = 4
    """Prompts answered of each family."""
    max_tokens: int = 80
    """Length limit of an answer."""
    node_budgets: tuple[int, ...] = (16,)
    """Node budgets P: positions scored in one target call, root included."""
    temperatures: tuple[float, ...] = (0.0, 1.0)
    """Temperatures of the answers."""
    seed: int = 1000
    """Seed of the answers."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_family", "max_tokens")
        if not self.node_budgets or min(self.node_budgets) < 1:
            raise InvalidInput(f"node_budgets must each be at least 1, got {self.node_budgets}")
