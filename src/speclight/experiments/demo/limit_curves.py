"""Limits over node budgets for one family of a profile, beside the oracle's measured one."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.experiments.demo.bound_gaps import bound_gaps
from speclight.experiments.demo.record import ALL_FAMILIES, FamilyLimits, LimitCurve
from speclight.measure.estimates import half_width
from speclight.measure.profile import Profile
from speclight.measure.trace.record import Trace
from speclight.theory.bound import REAL_MODEL, Bound
from speclight.theory.catalogue import BY_NAME, drawn_in
from speclight.theory.known import known_from_texts

GAP_BUDGETS = (2, 4, 8, 16, 32, 64)  # where the bound is compared with the oracle start by start
ORACLE_LABEL = "true limit (oracle search)"


def family_limits(profile: Profile, oracle: Trace, family: str) -> FamilyLimits:
    """Every curve of the family over P = 1 .. the oracle's node budget, all at the same start law.

    The i.i.d. curves (Theorem 1, ln(P)/mu, renewal) are models of the target here, not bounds; the ergodic
    renewal bound assumes nothing about the target and is estimated from the sampled log-probabilities.
    """
    budgets = tuple(range(1, oracle.settings.largest_budget + 1))
    known = known_from_texts(profile.sampled_texts(family), budgets[-1], profile.step_laws[family])
    prompts = len({text.prompt_id for text in profile.of_family(family)})
    by_budget = [known.bounds(budget, drawn_in("demo")) for budget in budgets]
    return FamilyLimits(
        family=family,
        temperature=profile.settings.sampling.temperature,
        start_law=oracle.settings.start_law,
        budgets=budgets,
        curves=(
            *(_curve(bounds, prompts) for bounds in zip(*by_budget, strict=True)),
            _oracle_curve(oracle, family, budgets),
        ),
        oracle_contexts=len(oracle.of_family(family)),
        over_oracle=bound_gaps(profile, oracle, family, GAP_BUDGETS),
    )


def overall_limits(oracle: Trace) -> FamilyLimits:
    """The oracle over the starts of all families, each family with the weight of its starts."""
    budgets = tuple(range(1, oracle.settings.largest_budget + 1))
    return FamilyLimits(
        family=ALL_FAMILIES,
        temperature=oracle.sampling.temperature,
        start_law=oracle.settings.start_law,
        budgets=budgets,
        curves=(_oracle_curve(oracle, None, budgets),),
        oracle_contexts=len(oracle.starts),
    )


def _curve(bounds: Sequence[Bound], prompts: int) -> LimitCurve:
    """One statement over the node budgets; an estimate has a 95% interval, t quantiles over prompts."""
    last = bounds[-1]
    estimated = any(bound.standard_error is not None for bound in bounds)
    halves = [half_width(bound.standard_error or 0.0, prompts) for bound in bounds]
    return LimitCurve(
        name=last.name,
        label=BY_NAME[last.name].label,
        side=last.side,
        values=tuple(bound.value for bound in bounds),
        lows=_moved(bounds, halves, -1.0) if estimated else None,
        highs=_moved(bounds, halves, 1.0) if estimated else None,
        is_bound_here=last.side == "upper" and REAL_MODEL.issuperset(last.assumptions),
        assumptions=tuple(last.assumptions),
        source=last.source,
    )


def _moved(bounds: Sequence[Bound], halves: Sequence[float], by: float) -> tuple[float, ...]:
    return tuple(bound.value + by * half for bound, half in zip(bounds, halves, strict=True))


def _oracle_curve(oracle: Trace, family: str | None, budgets: tuple[int, ...]) -> LimitCurve:
    estimates = [oracle.limit_tokens_per_call(family, budget) for budget in budgets]
    has_interval = estimates[0].low is not None
    return LimitCurve(
        name="oracle",
        label=ORACLE_LABEL,
        side="measured",
        values=tuple(estimate.value for estimate in estimates),
        lows=tuple(estimate.low or estimate.value for estimate in estimates) if has_interval else None,
        highs=tuple(estimate.high or estimate.value for estimate in estimates) if has_interval else None,
        is_bound_here=False,
        assumptions=("exact at each context searched; the mean is over the contexts chosen",),
        source="ours, by Lemma 1 of arXiv 2512.11718v1",
    )
