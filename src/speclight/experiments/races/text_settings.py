"""Which texts races and coins are compared on."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class RaceTextSettings:
    """Which texts are sampled. Raises InvalidInput for counts below 1 or temperatures not above 0."""

    texts: int = 24
    """Texts sampled at each temperature."""
    tokens: int = 36
    """Tokens of each text; only texts that reach this length are kept, and calls start at its first 12."""
    temperatures: tuple[float, ...] = (0.6, 1.0)
    """Temperatures of the target's law, and of the drafter's where it is a model, as 0.6,1."""
    seed: int = 0
    """Seed of the texts."""

    def __post_init__(self) -> None:
        if self.texts < 1 or self.tokens < 1 or min(self.temperatures, default=0.0) <= 0.0:
            raise InvalidInput(
                f"got texts {self.texts}, tokens {self.tokens}, temperatures {self.temperatures}; expected "
                "counts >= 1 and at least one temperature, all > 0"
            )
