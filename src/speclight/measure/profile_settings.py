"""What to sample for a profile."""

from __future__ import annotations

from dataclasses import dataclass, field

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What to sample for a profile."""

    samples: int = 1
    """Texts sampled after each prompt."""
    max_tokens: int = 128
    """Length limit of a text, in generated tokens."""
    batch_size: int = 32
    """Texts sampled together; part of the plan, because it decides padding and rounding."""
    seed: int = 0
    """Seed of all randomness."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """The law that is sampled and profiled."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "samples", "max_tokens", "batch_size")
        check_whole_numbers(self, "seed", at_least=0)

    def check_entropy(self) -> None:
        """Raise InvalidInput for greedy texts: a trace takes them, bounds have nothing to say of them."""
        if self.sampling.temperature == 0.0:
            raise InvalidInput(
                "a profile needs a temperature above 0, got 0: greedy text has no entropy; the limits of a "
                "greedy target are the node budget itself"
            )
