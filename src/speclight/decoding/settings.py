"""How to decode: budget, lengths, the law that is sampled, and where to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from transformers import RepetitionPenaltyLogitsProcessor

from speclight.decoding.logits_processors import LogitsProcessor, refuse_stateful
from speclight.errors import InvalidInput, check_at_least_one
from speclight.models.sampling import SamplingSettings

# The text so far, prompt included, its last token just decided -> whether decoding stops there.
StopCriterion = Callable[[Sequence[int]], bool]


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How to decode.

    node_budget: P, positions scored in one target call, root included: a ceiling, only drafted nodes are
    scored. max_tokens: tokens to emit at the most. seed: of all randomness.
    sampling: temperature, top-k, top-p of the target's law. repetition_penalty: > 0, divides positive logits
    of tokens that stand in the prefix and multiplies negative ones; 1 is none. processors: applied to each
    visited node's logits with that node's own prefix, after the penalty and before `sampling`, as
    Transformers orders them. All of it belongs to the law that is decoded losslessly. Each must be a
    function of its arguments: nodes are asked for in any order, or not at all.
    stop_token_ids, stop_strings, stop_criteria: where to stop besides the model's end-of-text tokens. What
    made decoding stop is part of the text.
    record_target_log_probs: whether traces hold the target's log-probability of every drafted node.
    record_ranks: whether traces hold R of every emitted token; for the rule race only.
    Raises InvalidInput for values out of range and for processors that are no functions of a prefix.
    """

    node_budget: int = 8
    max_tokens: int = 128
    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    record_target_log_probs: bool = False
    record_ranks: bool = False
    repetition_penalty: float = 1.0
    processors: tuple[LogitsProcessor, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    stop_strings: tuple[str, ...] = ()
    stop_criteria: tuple[StopCriterion, ...] = ()

    def __post_init__(self) -> None:
        check_at_least_one(self, "node_budget", "max_tokens")
        if self.seed < 0:
            raise InvalidInput(f"seed must be >= 0, got {self.seed}")
        if not 0.0 < self.repetition_penalty < float("inf"):
            raise InvalidInput(
                f"repetition_penalty must be a finite number > 0, got {self.repetition_penalty}; 1 is none"
            )
        refuse_stateful(self.processors)
        if isinstance(self.stop_strings, str) or not all(self.stop_strings):
            raise InvalidInput(f"stop_strings must be non-empty strings, got {self.stop_strings!r}")

    def logits_processors(self) -> tuple[LogitsProcessor, ...]:
        """All that is applied to logits before `sampling`, in order."""
        if self.repetition_penalty == 1.0:
            return self.processors
        penalty = cast(LogitsProcessor, RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        return (penalty, *self.processors)
