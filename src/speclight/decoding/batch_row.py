"""One row of a Transformers batch, shown to processors and criteria as `generate` shows it to them.

There a processor or criterion gets all rows at once and may tell them apart by their number. Here each row is
decoded at its own pace and asked about alone, so where it matters it is shown at its own number in a batch of
copies of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.generation.logits_process import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
)

from speclight.decoding.logits_processors import LogitsProcessor, refuse_stateful
from speclight.decoding.settings import StopCriterion
from speclight.errors import InvalidInput

# Of Transformers' own, those that hold something of every row.
HOLD_ALL_ROWS = (EncoderNoRepeatNGramLogitsProcessor, EncoderRepetitionPenaltyLogitsProcessor)
TRANSFORMERS_OWN = "transformers.generation."


@dataclass(frozen=True, slots=True, eq=False)
class BatchRow:
    """Row `number` of `rows`. front: [1, padding] the padding it begins with, part of what is shown."""

    number: int
    rows: int
    front: torch.Tensor

    def processors(self, processors: LogitsProcessorList) -> tuple[LogitsProcessor, ...]:
        """The batch's processors, each for this row alone: [1, tokens] ids and [1, vocab] logits.

        Raises InvalidInput for processors that depend on earlier calls or other rows.
        """
        refuse_stateful(processors)
        return tuple(self._processor(processor) for processor in processors)

    def criterion(self, criteria: StoppingCriteriaList) -> StopCriterion:
        """Whether any of the batch's criteria says that this row is done.

        Asked, it raises InvalidInput for a criterion with one answer for several rows, which stops them all.
        """

        def is_met(token_ids: Sequence[int]) -> bool:
            shown = self._shown(torch.tensor([list(token_ids)], device=self.front.device))
            batch = cast(torch.LongTensor, shown.repeat(self.rows, 1))
            for criterion in criteria:
                # Scores are None there too unless they were asked for.
                answer = torch.as_tensor(criterion(batch, None))  # pyright: ignore[reportArgumentType]
                if self.rows > 1 and answer.shape != (self.rows,):
                    raise InvalidInput(
                        f"the stopping criterion {type(criterion).__name__} gave an answer of shape "
                        f"{tuple(answer.shape)} for {self.rows} rows, expected one bool for each in a tensor"
                    )
                if bool(answer.flatten()[self.number if self.rows > 1 else 0]):
                    return True
            return False

        return is_met

    def _processor(self, processor: LogitsProcessor) -> LogitsProcessor:
        if isinstance(processor, PrefixConstrainedLogitsProcessor):
            processor = self._constraint(processor)
        is_own = type(processor).__module__.startswith(TRANSFORMERS_OWN)
        # The same for every row: no copies are needed.
        rows = 1 if is_own and not isinstance(processor, HOLD_ALL_ROWS) else self.rows

        def process(input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
            ids = cast(torch.LongTensor, self._shown(input_ids).repeat(rows, 1))
            logits = cast(torch.FloatTensor, scores.repeat(rows, 1))
            row = self.number if rows > 1 else 0
            return cast(torch.FloatTensor, processor(ids, logits)[row : row + 1])

        return process

    def _constraint(self, whole: PrefixConstrainedLogitsProcessor) -> PrefixConstrainedLogitsProcessor:
        """For this row alone: the user's function must not be asked about other rows with this one's ids."""
        allowed = whole._prefix_allowed_tokens_fn  # pyright: ignore[reportPrivateUsage]
        return PrefixConstrainedLogitsProcessor(lambda _, ids: allowed(self.number, ids), num_beams=1)

    def _shown(self, input_ids: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.front, input_ids), dim=1)


def padding_of_rows(
    input_ids: torch.Tensor, attention_mask: object, position_ids: object
) -> list[torch.Tensor]:
    """[1, padding] what each row begins with; attention_mask: [batch, tokens], None if nothing is padded.

    Raises InvalidInput for a mask that hides anything but the beginnings of rows, and for position_ids other
    than those that count each row's own tokens from 0.
    """
    fronts = _fronts(input_ids, attention_mask)
    _check_positions(fronts, input_ids, position_ids)
    return fronts


def _fronts(input_ids: torch.Tensor, attention_mask: object) -> list[torch.Tensor]:
    if attention_mask is None:
        return [row[None, :0] for row in input_ids]
    if not isinstance(attention_mask, torch.Tensor) or attention_mask.shape != input_ids.shape:
        got = getattr(attention_mask, "shape", type(attention_mask).__name__)
        raise InvalidInput(
            f"got an attention_mask of {got}, expected the shape of input_ids, {tuple(input_ids.shape)}"
        )
    hidden = attention_mask == 0
    paddings = hidden.sum(dim=1).tolist()
    for row, (padding, places) in enumerate(zip(paddings, hidden, strict=True)):
        if not bool(places[:padding].all()):
            raise InvalidInput(
                f"row {row} of input_ids has {padding} tokens that attention_mask hides, not all at its "
                "beginning; expected padding on the left: give the tokenizer padding_side='left'"
            )
    return [row[None, :padding] for row, padding in zip(input_ids, paddings, strict=True)]


def _check_positions(fronts: Sequence[torch.Tensor], input_ids: torch.Tensor, position_ids: object) -> None:
    if not isinstance(position_ids, torch.Tensor):
        return
    rows, tokens = input_ids.shape
    for row, front in enumerate(fronts):
        own = position_ids.expand(rows, -1)[row, front.shape[1] :]
        counted = torch.arange(tokens - front.shape[1], device=own.device)
        if not torch.equal(own, counted):
            raise InvalidInput(
                f"got position_ids {own.tolist()} for row {row} of input_ids, expected its tokens counted "
                "from 0; leave them out"
            )
