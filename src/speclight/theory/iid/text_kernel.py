"""The Markov kernel of sampled text, its types being strata of the contexts, and where calls start in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.ergodic.strata import Strata
from speclight.theory.iid.averaged_kernel import kernel_from_laws
from speclight.theory.iid.markov_renewal import MarkovKernel, kernel_from_transitions
from speclight.theory.laws.likely_tokens import LikelyTokens, first_contexts, joined
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, eligible_starts


def kernel_of_texts(texts: Sequence[SampledText], strata: Strata) -> MarkovKernel:
    """The Markov kernel whose types are the strata of each context's feature.

    The last token of a text that was cut leads to a context nobody looked at and is left out; a rule blind
    to what the token was. Steps are averaged over the full laws if every text has them. Raises InvalidInput
    if features are missing or a type has no context.
    """
    likely: list[LikelyTokens] = []
    surprisals: list[FloatArray] = []
    before: list[IntArray] = []
    after: list[IntArray] = []
    ends: list[BoolArray] = []
    for text in texts:
        if text.features is None:
            raise InvalidInput(
                f"context types need features in every text; prompt {text.prompt_id!r} has none"
            )
        types = strata.of(text.features)
        kept = len(text) if text.ended else len(text) - 1
        surprisals.append(text.surprisals[:kept])
        before.append(types[:kept])
        after.append(np.append(types[1:], 0)[:kept])
        ends.append(np.arange(kept) == len(text) - 1)
        if text.likely is not None:
            likely.append(first_contexts(text.likely, kept))
    steps, types_before, types_after = (np.concatenate(part) for part in (surprisals, before, after))
    ended = np.concatenate(ends)
    if len(likely) == len(texts):
        return kernel_from_laws(
            joined(likely), steps, types_before, types_after, types=len(strata), ends=ended
        )
    return kernel_from_transitions(steps, types_before, types_after, types=len(strata), ends=ended)


def start_shares(
    texts: Sequence[SampledText], strata: Strata, node_budget: int, start_law: StartLaw | None = None
) -> FloatArray:
    """[types] share of each stratum among the usable starts, weighted by the start law."""
    starts = eligible_starts(texts, node_budget, start_law)
    weights = np.bincount(strata.of(starts.features), starts.weights, minlength=len(strata))
    return weights / weights.sum()
