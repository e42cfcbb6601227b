"""Limits over node budgets for one family of a profile, beside the oracle's measured one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.experiments.demo.record import FamilyLimits, LimitCurve
from speclight.measure.oracle_run import START_LAW, OracleRecord
from speclight.measure.profile import Profile
from speclight.theory.bound import Bound
from speclight.theory.ergodic.bound import ErgodicRenewal, ergodic_bound, ergodic_renewal
from speclight.theory.iid.leading_terms import limit
from speclight.theory.iid.renewal import renewal
from speclight.theory.iid.upper import theorem_1
from speclight.theory.laws.start_law import StartLaw, usable_starts

LABELS = {
    "theorem_1": "Theorem 1, as printed",
    "limit": "ln(P)/mu",
    "renewal": "renewal bound (ours)",
    "ergodic_renewal": "ergodic renewal bound (ours)",
    "oracle": "true limit (oracle search)",
}


def family_limits(profile: Profile, oracle: OracleRecord, family: str) -> FamilyLimits:
    """Every curve of the family over P = 1 .. the oracle's node budget, all at the same start law.

    The i.i.d. curves (Theorem 1, ln(P)/mu, renewal) are models of the target here, not bounds; the ergodic
    renewal bound assumes nothing about the target and is estimated from the sampled log-probabilities.
    """
    budgets = tuple(range(1, oracle.settings.node_budget + 1))
    law = profile.step_laws[family]
    curves = [
        _formula([theorem_1(law.mu, law.mu2, budget) for budget in budgets]),
        _formula([limit(law.mu, budget) for budget in budgets]),
        _formula([renewal(law, budget) for budget in budgets]),
        _ergodic_curve(profile, family, budgets),
        _oracle_curve(oracle, family, budgets),
    ]
    return FamilyLimits(
        family=family,
        temperature=profile.settings.sampling.temperature,
        start_law=START_LAW,
        budgets=budgets,
        curves=tuple(curves),
        oracle_contexts=len(oracle.of_family(family)),
    )


def shared_starts(profile: Profile, family: str, node_budget: int) -> StartLaw:
    """Uniform positions among the starts that the largest node budget can use, for every smaller one too."""
    weights = []
    for text in profile.sampled_texts(family):
        weight = np.zeros(len(text))
        weight[: usable_starts(text, node_budget)] = 1.0
        weights.append(weight)
    return StartLaw(START_LAW, tuple(weights))


def _formula(bounds: Sequence[Bound]) -> LimitCurve:
    first = bounds[0]
    return LimitCurve(
        name=first.name,
        label=LABELS[first.name],
        side=first.side,
        values=tuple(bound.value for bound in bounds),
        lows=None,
        highs=None,
        is_bound_here=False,
        assumptions=tuple(first.assumptions),
        source=first.source,
    )


def _ergodic_curve(profile: Profile, family: str, budgets: tuple[int, ...]) -> LimitCurve:
    texts = profile.sampled_texts(family)
    starts = shared_starts(profile, family, budgets[-1])
    estimates = [ergodic_renewal(texts, budget, start_law=starts) for budget in budgets]
    bound = ergodic_bound(estimates[-1])
    values = [ergodic_bound(estimate).value for estimate in estimates]
    errors = [_error(estimate) for estimate in estimates]
    return LimitCurve(
        name="ergodic_renewal",
        label=LABELS["ergodic_renewal"],
        side="upper",
        values=tuple(values),
        lows=tuple(value - 2 * error for value, error in zip(values, errors, strict=True)),
        highs=tuple(value + 2 * error for value, error in zip(values, errors, strict=True)),
        is_bound_here=True,
        assumptions=tuple(bound.assumptions),
        source=bound.source,
    )


def _error(estimate: ErgodicRenewal) -> float:
    return 0.0 if np.isnan(estimate.standard_error) else estimate.standard_error


def _oracle_curve(oracle: OracleRecord, family: str, budgets: tuple[int, ...]) -> LimitCurve:
    estimates = [oracle.tokens_per_call(family, budget) for budget in budgets]
    has_interval = estimates[0].low is not None
    return LimitCurve(
        name="oracle",
        label=LABELS["oracle"],
        side="measured",
        values=tuple(estimate.value for estimate in estimates),
        lows=tuple(estimate.low or estimate.value for estimate in estimates) if has_interval else None,
        highs=tuple(estimate.high or estimate.value for estimate in estimates) if has_interval else None,
        is_bound_here=False,
        assumptions=("exact at each context searched; the mean is over the contexts chosen",),
        source="ours, by Lemma 1 of arXiv 2512.11718v1",
    )
