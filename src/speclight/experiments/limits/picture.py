"""All limits over the node budget on one i.i.d. source, one correlated source and one measured target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from speclight.experiments.limits.panels import BoundCurve, BoundPanel, budgets_up_to, panel_of_bounds
from speclight.measure.profile import Profile
from speclight.measure.trace.record import Trace
from speclight.seeds import stream
from speclight.theory.catalogue import drawn_in
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.known import Known, known_from_law, known_from_texts
from speclight.theory.laws.step_law import from_laws
from speclight.theory.truth.simulate import simulate_optimum
from speclight.theory.truth.sources import TokenSource, reference_sources, sample_texts

IID_SOURCE, CORRELATED_SOURCE = "dirichlet-0.3", "sticky-0.95"
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
    profile: Profile, oracle: Trace | None, family: str, name: str, largest_budget: int
) -> BoundPanel:
    """The panel of a measured target: limits from the profile's family, and the oracle where there is one.

    Raises InvalidInput if the texts are too short for the largest budget.
    """
    texts = profile.sampled_texts(family)
    known = known_from_texts(texts, largest_budget, profile.step_laws[family], quantile_strata(texts, 4))
    panel = _panel(name, known, largest_budget)
    if oracle is None:
        return panel
    values = tuple(oracle.limit_tokens_per_call(family, budget).value for budget in panel.budgets)
    return _with_optimum(panel, values)


def _synthetic(source: TokenSource, kind: str, largest_budget: int) -> BoundPanel:
    rng = stream(_SEED)
    types, rows, vocabulary = source.laws.shape
    law = from_laws(source.laws.reshape(types * rows, vocabulary), np.repeat(source.start / rows, rows))
    texts = sample_texts(source, rng.random((_TEXTS, _TOKENS, 3)))
    # Each budget at all of its own starts: the texts are long.
    known = replace(known_from_law(law), texts=texts)
    panel = _panel(f"{kind}: {source.name}", known, largest_budget)
    optimum = simulate_optimum(source, largest_budget, _TREES, rng).tokens_per_call
    return _with_optimum(panel, tuple(float(optimum[budget - 1]) for budget in panel.budgets))


def _panel(title: str, known: Known, largest_budget: int) -> BoundPanel:
    budgets = budgets_up_to(largest_budget)
    shown = drawn_in("comparison")
    return panel_of_bounds(title, budgets, [known.bounds(budget, shown) for budget in budgets])


def _with_optimum(panel: BoundPanel, values: tuple[float, ...]) -> BoundPanel:
    return replace(panel, curves=(*panel.curves, BoundCurve("optimum", "measured", values)))
