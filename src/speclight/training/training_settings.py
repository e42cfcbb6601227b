"""How a drafter is trained, and where training stands."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a drafter is trained.

    training_tokens: positions with a weight, over all epochs. draft_vocabulary: tokens that can be drafted.
    unrolled_steps: of training-time test (EAGLE-3), or heads (Medusa). small_layers: of a small model, out of
    the target's. batch_tokens: padded positions per update. request_weight: of the request's tokens in the
    loss, against 1 for the answer's. warm_up, decay: shares of training_tokens at its start and end over
    which the learning rate rises and falls linearly: constant in between, so that more tokens can be trained
    on from any checkpoint before the decay. half_precision: bfloat16 products.
    """

    training_tokens: int = 2_000_000
    draft_vocabulary: int = 8192
    unrolled_steps: int = 3
    small_layers: int = 4
    batch_tokens: int = 700
    request_weight: float = 0.3
    learning_rate: float = 6e-4
    weight_decay: float = 0.01
    warm_up: float = 0.02
    decay: float = 0.3
    half_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_numbers(
            self, "training_tokens", "draft_vocabulary", "unrolled_steps", "small_layers", "batch_tokens"
        )

    def learning_rate_at(self, tokens: int) -> float:
        """After so many training tokens."""
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
