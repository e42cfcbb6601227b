"""The limits test: every limit, from traces of some prompts, against the oracle at other prompts'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import hypot, nan, sqrt

import numpy as np

from speclight.experiments.limits.data import Family, LimitsTestSettings
from speclight.measure.estimates import Estimate, mean_over, ratio_of_totals
from speclight.measure.oracle_decode import OracleCall
from speclight.measure.oracle_run import OracleRecord
from speclight.measure.profile import Profile
from speclight.theory.bound import Bound
from speclight.theory.catalogue import BY_NAME, drawn_in
from speclight.theory.ergodic.start_features import StartSorter
from speclight.theory.ergodic.trace_walk import trace_walk
from speclight.theory.known import Known, known_from_texts
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.step_law import StepLaw, merged


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method against the oracle in one cell (family, temperature, P).

    value: predicted tokens per call, bias-corrected where it is estimated by minimising.
    standard_error: of value, NaN with a single prompt, as truth_error. truth, truth_error: the oracle's.
    ratio, ratio_error: value over truth; both sides' errors are taken as independent, which they are for
    different prompts.
    """

    family: str
    temperature: float
    node_budget: int
    method: str
    value: float
    standard_error: float
    truth: float
    truth_error: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.value / self.truth

    @property
    def ratio_error(self) -> float:
        """Standard error of the ratio, by linearisation."""
        return self.ratio * hypot(self.standard_error / self.value, self.truth_error / self.truth)


@dataclass(frozen=True, slots=True)
class PooledError:
    """The mean signed error of a method over cells: value/truth - 1. cells: families times temperatures."""

    method: str
    node_budgets: tuple[int, ...]
    signed_error: float
    standard_error: float
    cells: int
    within_two_errors: int
    comparisons: int


@dataclass(frozen=True, slots=True, eq=False)
class CellData:
    """Everything measured for one family and temperature."""

    family: Family
    temperature: float
    traces: tuple[Profile, ...]
    oracle_texts: Profile
    oracle: OracleRecord
    calls: Sequence[OracleCall]

    @property
    def trace_texts(self) -> list[SampledText]:
        """The traces as the ergodic bound takes them."""
        return [text for profile in self.traces for text in profile.sampled_texts(self.family.name)]

    @property
    def step_law(self) -> StepLaw:
        """The step law of all traces, from full laws."""
        return reduce(merged, (profile.step_laws[self.family.name] for profile in self.traces))


def compare_cell(cell: CellData, settings: LimitsTestSettings, sorter: StartSorter) -> list[Comparison]:
    """Every method at every node budget, against the oracle at uniform positions and the oracle decode."""
    texts = cell.trace_texts
    found: list[Comparison] = []
    known = _known(texts, sorter, settings, cell.step_law)
    own = _known(cell.oracle_texts.sampled_texts(cell.family.name), sorter, settings)
    for budget in settings.node_budgets:
        truth = cell.oracle.tokens_per_call(cell.family.name, budget)
        found += _uniform(cell, known, own, texts, budget, truth)
    for budget in sorted({call.node_budget for call in cell.calls}):
        found += _call_starts(cell, settings, texts, budget)
    return found


def pooled_errors(comparisons: Sequence[Comparison], node_budgets: Sequence[int]) -> list[PooledError]:
    """Per method, the mean over cells of value/truth - 1, averaged over those of the budgets it has.

    The standard error treats cells as independent and a cell's budgets as fully dependent (they share their
    texts and trees), so it errs on the large side.
    """
    pooled: list[PooledError] = []
    for method in dict.fromkeys(item.method for item in comparisons):
        own = [c for c in comparisons if c.method == method and c.node_budget in node_budgets]
        if not own:
            continue
        cells = list(dict.fromkeys((c.family, c.temperature) for c in own))
        of_cell = [[c for c in own if (c.family, c.temperature) == cell] for cell in cells]
        errors = [np.mean([c.ratio_error for c in group]) for group in of_cell]
        pooled.append(
            PooledError(
                method=method,
                node_budgets=tuple(sorted({c.node_budget for c in own})),
                signed_error=float(np.mean([np.mean([c.ratio - 1.0 for c in group]) for group in of_cell])),
                standard_error=sqrt(sum(float(error) ** 2 for error in errors)) / len(cells),
                cells=len(cells),
                within_two_errors=sum(abs(c.ratio - 1.0) <= 2 * c.ratio_error for c in own),
                comparisons=len(own),
            )
        )
    return pooled


def _uniform(
    cell: CellData,
    known: Known,
    own: Known,
    texts: list[SampledText],
    budget: int,
    truth: Estimate,
) -> list[Comparison]:
    add = _recorder(cell, budget, truth)
    # The formulas of the step law move with 1/mu to first order; that is their sampling error here.
    mu = mean_over([t.prompt_id for t in texts], [float(t.surprisals.mean()) for t in texts])
    share = (nan if mu.standard_error is None else mu.standard_error) / mu.value
    found: list[Comparison] = []
    for bound in known.bounds(budget, drawn_in("comparison")):
        if bound.side != "lower":
            error = bound.standard_error
            found.append(add(bound.name, bound.value, share * bound.value if error is None else error))
    paired = own.bounds(budget, (BY_NAME["ergodic_renewal_stratified"],))
    found += [add("stratified, oracle's own texts", bound.value, _error(bound)) for bound in paired]
    return found


def _known(
    texts: list[SampledText], sorter: StartSorter, settings: LimitsTestSettings, law: StepLaw | None = None
) -> Known:
    """The texts with their starts sorted, at the starts that every node budget of the test can use."""
    largest = max(settings.node_budgets)
    return known_from_texts(sorter.sorted_texts(texts), largest, law, sorter.strata)


def _call_starts(
    cell: CellData, settings: LimitsTestSettings, texts: list[SampledText], budget: int
) -> list[Comparison]:
    calls = [call for call in cell.calls if call.node_budget == budget]
    # E[X | context] in place of the tokens drawn: the same mean with less noise.
    truth = ratio_of_totals(
        [call.prompt_id for call in calls], [call.expected_tokens for call in calls], [1.0] * len(calls)
    )
    add = _recorder(cell, budget, truth)
    starts = settings.decode_starts
    found: list[Comparison] = []
    own = cell.oracle_texts.sampled_texts(cell.family.name)
    decoded = {call.prompt_id for call in calls}
    for name, walked in (
        ("trace_walk", texts),
        ("trace walk, decoded texts", [text for text in own if text.prompt_id in decoded]),
    ):
        walk = trace_walk([cut_for_starts(text, starts, budget) for text in walked], budget)
        found.append(add(name, walk.tokens_per_call, walk.standard_error))
    return found


def cut_for_starts(text: SampledText, starts_below: int, node_budget: int) -> SampledText:
    """The text as if made under the length limit that leaves just the starts below `starts_below` usable."""
    limit_ = starts_below + node_budget - 2
    longest = max(limit_, node_budget - 1)
    kept = min(len(text), longest)
    return SampledText(
        surprisals=text.surprisals[:kept],
        ended=text.ended and kept == len(text),
        prompt_id=text.prompt_id,
        features=None if text.features is None else text.features[:kept],
        length_limit=longest,
    )


def _recorder(cell: CellData, budget: int, truth: Estimate) -> Callable[[str, float, float], Comparison]:
    def add(method: str, value: float, error: float) -> Comparison:
        return Comparison(
            family=cell.family.name,
            temperature=cell.temperature,
            node_budget=budget,
            method=method,
            value=value,
            standard_error=error,
            truth=truth.value,
            truth_error=nan if truth.standard_error is None else truth.standard_error,
        )

    return add


def _error(bound: Bound) -> float:
    return nan if bound.standard_error is None else bound.standard_error
