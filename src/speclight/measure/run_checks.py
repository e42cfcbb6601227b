"""Recorded decodes beside the most that is possible: above it lies only a bug, in the decode or in the bound.

A decode and its bound are compared on the decode's own texts, so that what text was drawn hardly matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest
from speclight.models.readings import Readings
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.laws.sampled_text import SampledText

# Chance that a decode which just reaches its limit is said to exceed it.
FALSE_ALARM = 1e-3
ROUNDING_RTOL = 1e-9


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """A recorded decode beside the decode bound of its own texts, both held to the texts' length limit.

    reached: tokens per call. limit: what no decode of such texts exceeds. share: reached over limit.
    least_share: what the share is at least, at one-sided confidence 1 - FALSE_ALARM (t quantile, clustered
    by prompt); None for a single prompt. exceeds: whether even that is above 1.
    """

    node_budget: int
    prompts: int
    reached: float
    limit: float
    share: float
    least_share: float | None
    exceeds: bool


def check_decode(texts: Sequence[SampledText], calls: Sequence[int], node_budget: int) -> LimitCheck:
    """Whether a decode with deterministic drafts made fewer calls than any can.

    texts: as decoded, with the target's surprisals under the law decoded by. calls: made for each.
    node_budget: P of its largest trees. Raises InvalidInput for another number of calls, or texts without
    tokens.
    """
    if len(texts) != len(calls):
        raise InvalidInput(f"each of {len(texts)} texts needs its number of calls, got {len(calls)}")
    bound = decode_bound(texts, node_budget)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(text.prompt_id for text in texts if len(text)))}
    made = np.zeros(bound.prompts)
    for text, count in zip(texts, calls, strict=True):
        if len(text):
            made[numbers[text.prompt_id]] += count
    share = float(bound.costs.sum() / made.sum())
    error = ratio_standard_error(bound.costs, made)
    least = None
    if bound.prompts > 1:
        least = share - float(stats.t.ppf(1.0 - FALSE_ALARM, bound.prompts - 1)) * error
    return LimitCheck(
        node_budget=node_budget,
        prompts=bound.prompts,
        reached=bound.tokens / float(made.sum()),
        limit=bound.held.value,
        share=share,
        least_share=least,
        exceeds=least is not None and least > 1.0 + ROUNDING_RTOL,
    )


def scored_text(
    model: CausalLM,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    sampling: SamplingSettings,
    prompt_id: str,
    readings: Readings | None = None,
) -> SampledText:
    """A decoded text with the target's surprisals, from one reading: what any decoder of it left behind.

    readings: read the prompt, and may have read it before.
    """
    roots = range(len(prompt_ids) - 1, len(prompt_ids) + len(token_ids) - 1)
    begun = (readings or Readings(model, most_bytes=0)).begun(prompt_ids)
    laws = Forest(model, [*prompt_ids, *token_ids[:-1]], roots, sampling, begun=begun).root_laws
    chances: FloatArray = laws[np.arange(len(token_ids)), list(token_ids)]
    ended = token_ids[-1] in model.end_of_text
    return SampledText(-np.log(np.maximum(chances, np.finfo(np.float64).tiny)), ended, prompt_id)
