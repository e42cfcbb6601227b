"""How much of the paper's experiments is measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class PapersSettings:
    """How much is measured, for every question file and temperature.

    The defaults are the paper's: 80 samples of each data set, P = 60 in Figure 1, temperature 1, to which two
    lower ones are added.
    """

    temperatures: tuple[float, ...] = (1.0, 0.7, 0.5)
    """Temperatures, as 1,0.7, each above 0."""
    prompts_per_file: int = 80
    """The first prompts of a file, this many at most; every turn of each."""
    max_tokens: int = 128
    """Length limit of an answer, in generated tokens."""
    batch_size: int = 64
    """Texts sampled together; part of the plan, because it decides padding and rounding."""
    node_budgets: tuple[int, ...] = (2, 4, 8, 16, 32, 60)
    """Node budgets P of Figure 2, rising, as 8,16,60; the largest is that of Figure 1."""
    limit_budgets: tuple[int, ...] = (128, 256, 512)
    """Larger ones, at which nothing is drafted or searched and the limits go on alone."""
    every: int = 8
    """Of the answers' tokens one in this many is a start: of drafted trees, and of the search for the best
    one."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_file", "max_tokens", "batch_size", "every")
        budgets = (*self.node_budgets, *self.limit_budgets)
        if not self.node_budgets or min(budgets) < 2 or any(a >= b for a, b in pairwise(budgets)):
            raise InvalidInput(
                f"got node budgets {budgets}, those of limits alone last, expected rising numbers >= 2"
            )
        if not self.temperatures or min(self.temperatures) <= 0.0:
            raise InvalidInput(f"temperatures must each be above 0, got {self.temperatures}")
