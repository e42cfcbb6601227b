"""Greedy text that is not plain greedy text: rounding at a near tie, or a bug."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from speclight.models.causal_lm import CausalLM
from speclight.models.common_prefix import common_prefix_length

# Logits of one token scored alone and in a tree differ by float32 rounding, about 1e-5 of their size (tens).
# A choice between two tokens closer than this may fall either way; anything wider is a bug.
NEAR_TIE_LOGITS = 1e-2
# Where products round rows to 16 bits they differ by some thousandths: a last bit that differs may round
# another way. Largest difference observed on the default target: 5e-3 between 65 tokens read one by one and
# all at once; up to `compiled_attention.MOST_NEW` of them there is none, but plain passes by Transformers are
# compared with too.
ROUNDED_ROWS_LOGITS = 3e-2
# In types of 16 bits a logit itself is rounded to a step of its size, and so is every state it comes from:
# plain decoding with and without a cache differs by some of these steps.
STEPS_FORGIVEN = 8


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a greedy text first leaves plain greedy decoding's.

    place: emitted tokens before it. margin: how far the token emitted lies below the best one, logits of a
    plain pass over the common text; infinite where one text just ends. rounding: the largest margin that the
    rounding of the model's type explains there, see `near_tie_margin`.
    """

    place: int
    margin: float
    rounding: float = NEAR_TIE_LOGITS

    @property
    def is_near_tie(self) -> bool:
        """Whether rounding explains it; after it the texts differ rightly."""
        return self.margin <= self.rounding


def near_tie_margin(target: CausalLM, size: float) -> float:
    """Logits by which rounding may turn a choice of this target's; size: of the logits in question."""
    least = ROUNDED_ROWS_LOGITS if target.rounds_rows else NEAR_TIE_LOGITS
    return max(least, STEPS_FORGIVEN * torch.finfo(target.model.dtype).eps * abs(size))


@torch.inference_mode()
def plain_greedy(target: CausalLM, prompt_ids: list[int], max_tokens: int) -> list[int]:
    """Greedy continuation, one token a pass over Transformers' own cache: no tree, mask or cache of ours."""
    cache = DynamicCache(config=target.model.config)
    unread, emitted = prompt_ids, list[int]()
    while len(emitted) < max_tokens and len(prompt_ids) + len(emitted) <= target.context_window:
        ids = torch.tensor([unread], device=target.device)
        logits = target.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0, -1]
        emitted.append(int(logits.argmax()))
        unread = emitted[-1:]
        if emitted[-1] in target.end_of_text:
            break
    return emitted


def first_divergence(
    target: CausalLM, prompt_ids: list[int], emitted: Sequence[int], plain: Sequence[int]
) -> Divergence | None:
    """Where emitted tokens first differ from plain greedy decoding's of the same prompt; None if nowhere."""
    place = common_prefix_length(emitted, plain)
    if place == max(len(emitted), len(plain)):
        return None
    if place == min(len(emitted), len(plain)):
        return Divergence(place, float("inf"))
    logits, best, ours = plain_logits(target, [*prompt_ids, *plain[:place]]), plain[place], emitted[place]
    rounding = near_tie_margin(target, float(logits[[best, ours]].abs().max()))
    return Divergence(place, abs(float(logits[best] - logits[ours])), rounding)


@torch.inference_mode()
def plain_logits(target: CausalLM, token_ids: list[int]) -> torch.Tensor:
    """[vocab] logits after a text, float32 or finer, by a plain call of the model.

    No cache, no mask and no positions of ours take part.
    """
    ids = torch.tensor([token_ids], device=target.device)
    logits = target.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
