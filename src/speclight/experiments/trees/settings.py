"""How much a comparison of trees measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How much to measure.

    Raises InvalidInput for counts below 1, or budgets that do not rise or hold no drafted token.
    """

    node_budgets: tuple[int, ...] = (4, 8, 16, 32, 60)
    """Node budgets P compared, root included, as 8,16,60; rising."""
    prompts_per_family: int = 4
    """Prompts of each family whose texts give contexts."""
    contexts: int = 4
    """Contexts of each text, on average: uniform positions."""
    calibration_prompts: int = 2
    """Further prompts of each family, whose texts give the acceptance vector of the static tree."""
    calibration_contexts: int = 16
    """Contexts of each of these texts."""
    max_tokens: int = 64
    """Length limit of a text."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """Of the texts, the target's law and the drafter's; its temperature is above 0."""
    seed: int = 0
    """Seed of texts and contexts."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_family", "contexts", "max_tokens")
        check_whole_numbers(self, "calibration_prompts", "calibration_contexts")
        budgets = self.node_budgets
        if not budgets or min(budgets) < 2 or any(a >= b for a, b in pairwise(budgets)):
            raise InvalidInput(f"got node budgets {budgets}, expected rising numbers >= 2")
        if self.sampling.temperature == 0.0:
            raise InvalidInput(
                "a comparison of trees needs a temperature above 0, got 0: along greedy text trees are told "
                "apart by the branch that the text follows alone; use `speclight trace`"
            )
