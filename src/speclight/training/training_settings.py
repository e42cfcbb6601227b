"""How a drafter is trained, and where training stands."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers, finite_number
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a drafter is trained. Raises InvalidInput for counts below 1 and rates or shares out of range."""

    training_tokens: int = 4_000_000
    """Tokens to train on, over all epochs."""
    draft_vocabulary: int = 8192
    """How many of the target's tokens are drafted."""
    unrolled_steps: int = 3
    """EAGLE-3: steps of training-time test. Medusa: heads."""
    small_layers: int = 4
    """Small model: how many of the target's layers it keeps, from both ends."""
    batch_tokens: int = 700
    """Padded positions per update."""
    request_weight: float = 0.3
    """Weight of the request's tokens in the loss, against 1 for the answer's."""
    learning_rate: float = 6e-4
    """The highest one; it rises at the start, then stays until it falls at the end."""
    weight_decay: float = 0.01
    """Of the optimiser."""
    warm_up: float = 0.02
    """Share of the training tokens over which the learning rate rises."""
    decay: float = 0.3
    """Share of them, at the end, over which it falls; more can be trained on from any checkpoint before."""
    half_precision: bool = True
    """Products in bfloat16."""
    seed: int = 0
    """Seed of all randomness."""

    def __post_init__(self) -> None:
        check_whole_numbers(
            self, "training_tokens", "draft_vocabulary", "unrolled_steps", "small_layers", "batch_tokens"
        )
        for name, above in (("learning_rate", True), ("request_weight", False), ("weight_decay", False)):
            self._check_at_least_0(name, above)
        for name in ("warm_up", "decay"):
            self._check_at_least_0(name)
            if getattr(self, name) > 1.0:
                raise InvalidInput(
                    f"got {name} {getattr(self, name)}, expected a share from 0 to 1; 0 leaves it out",
                    argument=name,
                )

    def _check_at_least_0(self, name: str, above: bool = False) -> None:
        expected = f"a finite number {'above 0' if above else '>= 0'}"
        remedy = "leave it out for the default"
        value = finite_number(name, getattr(self, name), expected, remedy)
        if value < 0.0 or (above and value == 0.0):
            raise InvalidInput(f"got {name} {value}, expected {expected}; {remedy}", argument=name)

    def learning_rate_at(self, tokens: int) -> float:
        """After this many training tokens."""
        done = tokens / self.training_tokens
        rise = (done + 1e-3) / self.warm_up if self.warm_up > 0.0 else 1.0
        fall = (1.0 - done) / self.decay if self.decay > 0.0 else 1.0
        return self.learning_rate * max(0.0, min(1.0, rise, fall))


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where training stands. cross_entropies and agreements: by drafted step, on texts held out."""

    tokens: int
    epoch: int
    updates: int
    cross_entropies: tuple[float, ...]
    agreements: tuple[float, ...]

    @property
    def estimated_chain(self) -> float:
        """Tokens per call of a greedy chain as long as the steps: 1 + a1 + a1 a2 + ..."""
        total = survival = 1.0
        for agreement in self.agreements:
            survival *= agreement
            total += survival
        return total
