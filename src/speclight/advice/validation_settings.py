"""How much is decoded to hold a plan against."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """How much is decoded to hold predictions against. Raises InvalidInput for counts below 1."""

    prompts_per_family: int = 4
    """With --validate: prompts of the trace decoded, of each family; intervals come from prompts."""
    max_tokens: int = 64
    """With --validate: tokens to emit at the most for each prompt."""
    rounds: int = 2
    """With --validate: how often all configurations and plain decoding take turns on each prompt."""
    seed: int = 0
    """With --validate: seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "prompts_per_family", "max_tokens", "rounds")
        check_whole_numbers(self, "seed", at_least=0)
