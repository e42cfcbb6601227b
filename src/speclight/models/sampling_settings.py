"""How logits become the law that is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import finite_number, whole_number
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How logits become probabilities. Raises InvalidInput for values outside the ranges named."""

    temperature: float = 1.0
    """Temperature of the law, >= 0; 0 is greedy decoding, all mass on the best token."""
    top_k: int | None = None
    """Keep this many of the most probable tokens, >= 1; all if not given."""
    top_p: float | None = None
    """Keep the smallest set of most probable tokens with this much probability; all if not given."""

    def __post_init__(self) -> None:
        expected = "a finite number >= 0 (0 is greedy decoding)"
        temperature = finite_number(
            "temperature", self.temperature, expected, "1 samples the model's own law"
        )
        if temperature < 0.0:
            raise InvalidInput(
                f"got temperature {temperature}, expected {expected}; 1 is the model's own law"
            )
        object.__setattr__(self, "temperature", temperature)
        if self.top_k is not None:
            try:
                object.__setattr__(self, "top_k", whole_number("top_k", self.top_k))
            except InvalidInput as error:
                raise InvalidInput(f"{error}, or leave it out to keep all", argument="top_k") from None
        if self.top_p is not None:
            expected, remedy = "0 < top_p <= 1", "leave it out to keep all"
            top_p = finite_number("top_p", self.top_p, expected, remedy)
            if not 0.0 < top_p <= 1.0:
                raise InvalidInput(f"got top_p {top_p}, expected {expected}; {remedy}")
            object.__setattr__(self, "top_p", top_p)
