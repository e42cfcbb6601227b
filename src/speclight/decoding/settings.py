"""How to decode: budget, lengths, the law that is sampled, and where to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from speclight.checks import check_whole_numbers, finite_number
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings

if TYPE_CHECKING:  # flags are made from this class without waiting for torch
    from speclight.decoding.logits_processors import LogitsProcessor
else:
    LogitsProcessor = Callable[..., Any]
# The text so far, prompt included, its last token just decided -> whether decoding stops there.
StopCriterion = Callable[[Sequence[int]], bool]
Auto = Literal["auto"]
AUTO: Auto = "auto"
# Beyond this a tree has more positions than any context window; a typing error, not a wish.
LARGEST_BUDGET = 16_384


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How to decode. What is sampled belongs to the law that is decoded losslessly.

    What made decoding stop is part of the text. Raises InvalidInput for values out of range and for
    processors that are no functions of a prefix and its logits.
    """

    node_budget: int | Auto = 8
    """Node budget P: positions scored in one target call, root included; a ceiling. auto: in each call as
    many as pay here, by what the calls before have cost and brought; none where plain decoding is faster."""
    max_tokens: int = 128
    """Tokens to emit at the most for each prompt; an end of text stops earlier and counts as one."""
    seed: int = 0
    """Seed of all randomness; of several prompts, each next one is decoded with the next seed."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """Temperature, top-k and top-p of the target's law."""
    draft_ahead: bool = False
    """The drafter goes on in a second thread while the target scores its draft; what it has worked out there
    is not worked out again for the next one. The text does not depend on it. For drafters that are models."""
    record_target_log_probs: bool = False
    """Whether traces hold the target's log-probability of every drafted node."""
    record_expected_tokens: bool = False
    """Whether traces hold the tokens that the rule is expected to emit of every draft tree."""
    record_ranks: bool = False
    """With the rule race: where each token stood among the drafter's candidates, H[R], and its bound."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens the text holds already, and multiplies negative ones; 1 is none."""
    processors: tuple[LogitsProcessor, ...] = ()
    """Applied to each visited node's logits with that node's own prefix, after the penalty and before
    `sampling`, as Transformers orders them."""
    stop_token_ids: frozenset[int] = frozenset()
    """Tokens that end the text, besides the model's end-of-text tokens."""
    stop_strings: tuple[str, ...] = ()
    """Strings that end the text, the one met included."""
    stop_criteria: tuple[StopCriterion, ...] = ()
    """Functions of the text so far that end it."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "max_tokens")
        check_whole_numbers(self, "seed", at_least=0)
        if self.node_budget != AUTO:
            _check_budget(self)
        expected, remedy = "a finite number > 0", "1 is no penalty"
        penalty = finite_number("repetition_penalty", self.repetition_penalty, expected, remedy)
        if penalty <= 0.0:
            raise InvalidInput(f"got repetition_penalty {penalty}, expected {expected}; {remedy}")
        object.__setattr__(self, "repetition_penalty", penalty)
        _check_stop_strings(self.stop_strings)
        for processor in self.processors:
            if not callable(processor):
                raise InvalidInput(
                    f"got {processor!r} among the processors, expected functions of ids and logits; give "
                    "LogitsProcessor objects"
                )
        if self.processors:
            from speclight.decoding.logits_processors import refuse_stateful

            refuse_stateful(self.processors)

    def logits_processors(self) -> tuple[LogitsProcessor, ...]:
        """All that is applied to logits before `sampling`, in order."""
        if self.repetition_penalty == 1.0:
            return self.processors
        from transformers import RepetitionPenaltyLogitsProcessor

        penalty = cast(LogitsProcessor, RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        return (penalty, *self.processors)


def _check_budget(settings: DecodeSettings) -> None:
    if isinstance(settings.node_budget, str):
        raise InvalidInput(
            f'got node_budget {settings.node_budget!r}, expected a whole number or "auto"; write the number',
            argument="node_budget",
        )
    check_whole_numbers(settings, "node_budget")
    if settings.node_budget > LARGEST_BUDGET:
        raise InvalidInput(
            f"got node_budget {settings.node_budget}, expected at most {LARGEST_BUDGET}; trees of more than "
            "some hundred nodes gain next to nothing"
        )


def _check_stop_strings(given: object) -> None:
    strings = isinstance(given, tuple) and all(isinstance(string, str) and string for string in given)
    if not strings:
        raise InvalidInput(
            f"got stop strings {given!r}, expected non-empty strings; give one or a list of them"
        )
