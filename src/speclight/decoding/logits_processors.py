"""Logits processors: functions of a prefix and its logits, asked about nodes in any order or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from transformers.generation.logits_process import (
    ClassifierFreeGuidanceLogitsProcessor,
    DiaClassifierFreeGuidanceLogitsProcessor,
    DiaEOSDelayPatternLogitsProcessor,
    SynthIDTextWatermarkLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
    WhisperNoSpeechDetection,
)

from speclight.drafting.guarded import FAILURES
from speclight.errors import InvalidInput

# (ids [1, tokens] of a prefix, its logits [1, vocab]) -> logits [1, vocab]: what Transformers calls a
# LogitsProcessor. It must be a function of its arguments.
LogitsProcessor = Callable[[torch.LongTensor, torch.FloatTensor], torch.FloatTensor]
# Transformers' own that are none: they keep a state from call to call, or mix the rows of a batch.
NO_FUNCTIONS = {
    UnbatchedClassifierFreeGuidanceLogitsProcessor: "guidance_scale",
    ClassifierFreeGuidanceLogitsProcessor: "guidance_scale",
    DiaClassifierFreeGuidanceLogitsProcessor: "guidance_scale",
    DiaEOSDelayPatternLogitsProcessor: "delay patterns",
    SynthIDTextWatermarkLogitsProcessor: "SynthID watermarks",
    WhisperNoSpeechDetection: "no-speech detection",
}
EXPECTED = "expected a function of the prefix and its logits alone, because nodes are asked for in any order"


def refuse_stateful(processors: Sequence[LogitsProcessor]) -> None:
    """Raise InvalidInput for processors known to be no functions of a single prefix and its logits."""
    for processor in processors:
        for kind, argument in NO_FUNCTIONS.items():
            if isinstance(processor, kind):
                raise InvalidInput(
                    f"got the logits processor {kind.__name__} ({argument}), which depends on earlier calls "
                    f"or other rows; {EXPECTED}: leave it out, or decode plainly with Transformers"
                )


def processed(
    processors: Sequence[LogitsProcessor], prefix: torch.Tensor, logits: torch.Tensor
) -> torch.Tensor:
    """[vocab] logits after the prefix [tokens] with all processors applied; the input is not changed."""
    scores = logits[None].clone()  # processors may write into what they get
    for process in processors:
        scores = process(cast(torch.LongTensor, prefix[None]), cast(torch.FloatTensor, scores))
    return scores[0]


def check_repeatable(
    processors: Sequence[LogitsProcessor], prefix: torch.Tensor, logits: torch.Tensor
) -> None:
    """Raise InvalidInput unless processors answer the same question twice alike; arguments: see `processed`.

    It finds those that count their calls, follow the text by its last token or draw at random; not all that
    have a state.
    """
    once = processed(processors, prefix, logits)
    try:
        twice = processed(processors, prefix, logits)
    except FAILURES as error:
        raise InvalidInput(
            f"a logits processor answered once and then failed ({type(error).__name__}: {error}); {EXPECTED}"
        ) from error
    if not torch.allclose(once, twice, equal_nan=True):
        raise InvalidInput(f"a logits processor gave two answers to one question; {EXPECTED}")
