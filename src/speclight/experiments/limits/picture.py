"""All limits over the node budget on one i.i.d. source, one correlated source and one measured target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.experiments.limits.panels import BoundCurve, BoundPanel
from speclight.measure.oracle_run import OracleRecord
from speclight.measure.profile import Profile
from speclight.seeds import stream
from speclight.theory.bound import Bound
from speclight.theory.catalogue import bounds_from_step_law
from speclight.theory.ergodic.bound import ergodic_bound, ergodic_renewal
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.laws.step_law import from_laws
from speclight.theory.trace_bounds import bounds_from_traces, starts_shared_by_budgets
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import TokenSource, reference_sources, sample_texts

IID_SOURCE, CORRELATED_SOURCE = "dirichlet-0.3", "sticky-0.95"
# What the picture shows; the other statements repeat one of these or their leading term.
SHOWN = (
    "theorem_1",
    "sharpened_theorem_1",
    "leaf_entropy",
    "renewal",
    "markov_renewal",
    "ergodic_renewal",
    "ergodic_renewal_stratified",
    "lemma_6_renewal",
    "limit",
)
_TREES = 20_000  # the optimum to half a per cent or better
_TEXTS, _TOKENS = 120, 2000
_SEED = 20251218  # of the synthetic panels; any other moves them by less than a line's width


def synthetic_panels(largest_budget: int) -> tuple[BoundPanel, ...]:
    """The panels of the i.i.d. and of the correlated source, with the simulated optimum."""
    by_name = {source.name: source for source in reference_sources()}
    return (
        _synthetic(by_name[IID_SOURCE], "i.i.d. contexts", largest_budget),
        _synthetic(by_name[CORRELATED_SOURCE], "correlated contexts", largest_budget),
    )


def target_panel(
    profile: Profile, oracle: OracleRecord | None, family: str, name: str, largest_budget: int
) -> BoundPanel:
    """The panel of a measured target: limits from the profile's family, and the oracle where there is one.

    Raises InvalidInput if the texts are too short for the largest budget.
    """
    texts = profile.sampled_texts(family)
    strata = quantile_strata(texts, 4)
    starts = starts_shared_by_budgets(texts, largest_budget)
    budgets = budgets_up_to(largest_budget)
    found = [
        [m.bound for m in bounds_from_traces(profile.step_laws[family], texts, budget, starts, strata)]
        for budget in budgets
    ]
    curves = _curves(found)
    if oracle is not None:
        values = tuple(oracle.tokens_per_call(family, budget).value for budget in budgets)
        curves = (*curves, BoundCurve("optimum", "measured", values))
    return BoundPanel(name, budgets, curves)


def budgets_up_to(largest: int) -> tuple[int, ...]:
    """P in steps of a third of a doubling, the largest included."""
    steps = {round(2.0 ** (step / 3)) for step in range(64)}
    return tuple(sorted({budget for budget in steps if budget < largest} | {largest}))


def _synthetic(source: TokenSource, kind: str, largest_budget: int) -> BoundPanel:
    rng = stream(_SEED)
    budgets = budgets_up_to(largest_budget)
    types, rows, vocabulary = source.laws.shape
    law = from_laws(source.laws.reshape(types * rows, vocabulary), np.repeat(source.start / rows, rows))
    texts = sample_texts(source, rng.random((_TEXTS, _TOKENS, 3)))
    found = [
        (
            *bounds_from_step_law(law, budget),
            ergodic_bound(ergodic_renewal(texts, budget)),
        )
        for budget in budgets
    ]
    optimum = simulate_optimum(source, largest_budget, _TREES, rng).tokens_per_call
    truth = tuple(float(optimum[budget - 1]) for budget in budgets)
    curves = (*_curves(found), BoundCurve("optimum", "measured", truth))
    return BoundPanel(f"{kind}: {source.name}", budgets, curves)


def _curves(found: Sequence[Sequence[Bound]]) -> tuple[BoundCurve, ...]:
    """A curve per statement shown; found: per budget, all of its bounds."""
    values = [{bound.name: bound for bound in bounds} for bounds in found]
    return tuple(
        BoundCurve(name, values[0][name].side, tuple(at_budget[name].value for at_budget in values))
        for name in SHOWN
        if name in values[0]
    )
