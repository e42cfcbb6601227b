"""How much a comparison of drafters measures."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers
from speclight.decoding.settings import AUTO, Auto, DecodeSettings
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class DrafterComparisonSettings:
    """How much to measure. Raises InvalidInput for counts below 1 or without temperatures."""

    prompts_per_family: int = 4
    """Prompts decoded of each family."""
    max_tokens: int = 64
    """Length limit of a text."""
    node_budget: int | Auto = 16
    """Node budget P: positions scored in one target call, root included. auto: as `generate` takes it."""
    temperatures: tuple[float, ...] = (0.0, 1.0)
    """Temperatures, as 0,1; each once."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_family", "max_tokens")
        if self.node_budget != AUTO:
            check_whole_numbers(self, "node_budget")
        if not self.temperatures or len(set(self.temperatures)) < len(self.temperatures):
            raise InvalidInput(f"got temperatures {self.temperatures}, expected at least one, each once")
        for temperature in self.temperatures:
            SamplingSettings(temperature)  # which checks it

    def decoding(self, temperature: float) -> DecodeSettings:
        """How texts are decoded; their seeds follow from the one here (`AskedTurn.decoding_seed`)."""
        return DecodeSettings(
            node_budget=self.node_budget,
            max_tokens=self.max_tokens,
            seed=self.seed,
            sampling=SamplingSettings(temperature),
        )
