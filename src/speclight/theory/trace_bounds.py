"""Every bound that measured text allows: of its step law, of its context types, and without independence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, best_upper
from speclight.theory.catalogue import bounds_from_step_law
from speclight.theory.ergodic.bootstrap import Interval
from speclight.theory.ergodic.bound import ErgodicRenewal, ergodic_bound, ergodic_renewal
from speclight.theory.ergodic.strata import Strata
from speclight.theory.iid.averaged_kernel import kernel_from_laws
from speclight.theory.iid.markov_renewal import MarkovKernel, kernel_from_transitions, markov_renewal
from speclight.theory.laws.likely_tokens import LikelyTokens, first_contexts, joined
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, eligible_starts, usable_starts
from speclight.theory.laws.step_law import StepLaw

# What a call decoded with a draft tree and any real model may grant; everything else is a model of it.
REAL_MODEL = frozenset({Assumption.DETERMINISTIC_DRAFTING, Assumption.SAME_START_LAW})
IID_MODEL = REAL_MODEL | {Assumption.IID_CONTEXTS}


@dataclass(frozen=True, slots=True)
class MeasuredBound:
    """A bound with the sampling error of its value; None where the value is a formula of the step law.

    interval: by the bootstrap over prompts, where there is one.
    """

    bound: Bound
    standard_error: float | None
    interval: Interval | None = None


def bounds_from_traces(
    law: StepLaw,
    texts: Sequence[SampledText],
    node_budget: int,
    start_law: StartLaw | None = None,
    strata: Strata | None = None,
) -> tuple[MeasuredBound, ...]:
    """Every bound at one P that a step law and sampled texts allow, in the order of `catalogue`, ours last.

    law: the step law of the same text. start_law: as in `ergodic_renewal`. strata: adds the stratified
    ergodic bound and the Markov-modulated one with the strata as types; texts then need features. Raises
    InvalidInput if no start is usable, or a stratum is empty.
    """
    found = [MeasuredBound(bound, None) for bound in bounds_from_step_law(law, node_budget)]
    if strata is not None and len(strata) > 1:
        kernel = kernel_of_texts(texts, strata)
        shares = start_shares(texts, strata, node_budget, start_law)
        found.append(MeasuredBound(markov_renewal(kernel, shares, node_budget), None))
    found.append(_ergodic(ergodic_renewal(texts, node_budget, None, start_law)))
    if strata is not None and len(strata) > 1:
        found.append(_ergodic(ergodic_renewal(texts, node_budget, strata, start_law)))
    return tuple(found)


def best_for_a_real_model(bounds: Sequence[Bound]) -> Bound:
    """The smallest upper bound that grants nothing about independence. Errors as in `best_upper`."""
    return best_upper(bounds, REAL_MODEL)


def best_if_contexts_were_iid(bounds: Sequence[Bound]) -> Bound:
    """The smallest upper bound for a target with i.i.d. contexts. Errors as in `best_upper`."""
    return best_upper(bounds, IID_MODEL)


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


def starts_shared_by_budgets(texts: Sequence[SampledText], largest_budget: int) -> StartLaw:
    """Uniform positions among the starts that the largest node budget can use, for every smaller one too."""
    weights: list[FloatArray] = []
    for text in texts:
        weight = np.zeros(len(text))
        weight[: usable_starts(text, largest_budget)] = 1.0
        weights.append(weight)
    return StartLaw("uniform positions", tuple(weights))


def _ergodic(estimate: ErgodicRenewal) -> MeasuredBound:
    error = estimate.standard_error
    return MeasuredBound(ergodic_bound(estimate), None if isnan(error) else error)
