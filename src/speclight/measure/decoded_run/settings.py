"""How prompts are decoded for a record of the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from speclight.checks import check_whole_numbers
from speclight.decoding.settings import LARGEST_BUDGET, DecodeSettings
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class DecodedRunSettings:
    """How prompts are decoded, by a drafter and plainly in turn. Raises InvalidInput for counts below 1."""

    node_budget: int = 8
    """Node budget P: positions scored in one target call, root included."""
    max_tokens: int = 64
    """Tokens to emit at the most for each turn of a prompt."""
    prompts_per_family: int = 4
    """Prompts decoded of each family, the first ones; intervals come from prompts."""
    rounds: int = 2
    """How often drafted and plain decoding take turns on each prompt."""
    seed: int = 0
    """Seed of all randomness; each prompt has one of its own that follows from it."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """Temperature, top-k and top-p of the target's law."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "node_budget", "max_tokens", "prompts_per_family", "rounds")
        check_whole_numbers(self, "seed", at_least=0)
        if self.node_budget > LARGEST_BUDGET:
            raise InvalidInput(
                f"got node_budget {self.node_budget}, expected at most {LARGEST_BUDGET}; trees of more than "
                "some hundred nodes gain next to nothing",
                argument="node_budget",
            )

    @property
    def drafted(self) -> DecodeSettings:
        """Of drafted decoding: its traces hold what trees and rule were worth."""
        return DecodeSettings(
            self.node_budget,
            self.max_tokens,
            self.seed,
            self.sampling,
            record_target_log_probs=True,
            record_expected_tokens=True,
        )

    @property
    def plain(self) -> DecodeSettings:
        """Of plain decoding."""
        return DecodeSettings(1, self.max_tokens, self.seed, self.sampling)
