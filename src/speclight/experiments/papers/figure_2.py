"""Figure 2: tokens per call against P on one data set, of drafters, of the best tree, and by each bound.

The paper's lines are Theorem 1, ln(P)/mu and Lemma 7 to leading order; ours are drawn beside them: two
moments, the renewal bound of the step law, the bound that needs no independence, and the true limit by
search; beyond the largest tree measured the limits go on alone. Limits of a whole decode stand in the tables
alone, because they answer another question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speclight.experiments.papers.drafted import DraftedAnswers
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.texts import Answers
from speclight.measure.drafter_limits import known_drafter, measured_tokens
from speclight.measure.estimates import Estimate
from speclight.measure.trace.record import Trace
from speclight.theory.catalogue import BY_NAME
from speclight.theory.ergodic.certificates import LowerEstimate, certified_decode
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.least_cost import UpperEstimate
from speclight.theory.known import Known, known_from_texts

# Of the target, in the order drawn; of the drafter Lemma 7 as the paper draws it.
DRAWN = ("theorem_1", "two_moments", "limit", "renewal", "ergodic_renewal")
# Needs P - 1 tokens behind each start, so it ends at the largest budget that was measured.
NEEDS_STARTS = "ergodic_renewal"
LEMMA_7 = "lemma_7_printed"


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of a whole decode at P: certified from below, and bounded from above."""

    node_budget: int
    certified: LowerEstimate
    bound: UpperEstimate


@dataclass(frozen=True, slots=True)
class BudgetPanel:
    """One data set at one temperature.

    node_budgets: at which trees were measured; limit_budgets: larger ones, where limits go on alone. bounds:
    by statement, [all budgets], of the ergodic bound the measured ones. lemma_7: by drafter, [all budgets].
    measured: by drafter, tokens per call of best-first trees at uniform positions. oracle: of the best trees
    at uniform positions. decode: [all budgets].
    """

    data: str
    temperature: float
    node_budgets: tuple[int, ...]
    limit_budgets: tuple[int, ...]
    bounds: dict[str, tuple[float, ...]]
    lemma_7: dict[str, tuple[float, ...]]
    measured: dict[str, tuple[Estimate, ...]]
    oracle: tuple[Estimate, ...]
    decode: tuple[DecodeLimits, ...]

    @property
    def all_budgets(self) -> tuple[int, ...]:
        """Those measured and those beyond."""
        return (*self.node_budgets, *self.limit_budgets)

    def at_largest(self, bound: str) -> float:
        """A bound at the largest budget that was measured."""
        return self.bounds[bound][len(self.node_budgets) - 1]


def budget_panels(
    found: Sequence[Answers],
    drafted: Sequence[DraftedAnswers],
    oracles: Mapping[tuple[str, float], Trace],
    settings: PapersSettings,
) -> tuple[BudgetPanel, ...]:
    """A panel for each of the answers. oracles: by data set and temperature, traces with the best trees.

    Raises InvalidInput for answers too short for the largest P.
    """
    return tuple(
        _panel(
            item,
            [each for each in drafted if (each.data, each.temperature) == (item.data, item.temperature)],
            oracles[item.data, item.temperature],
            settings,
        )
        for item in found
    )


def _panel(
    item: Answers,
    drafted: Sequence[DraftedAnswers],
    oracle: Trace,
    settings: PapersSettings,
) -> BudgetPanel:
    node_budgets, beyond = settings.node_budgets, settings.limit_budgets
    texts = item.profile.sampled_texts(item.data)
    known = known_from_texts(texts, max(node_budgets), item.profile.step_laws[item.data])
    by_budget = [
        {
            bound.name: bound.value
            for bound in known.bounds(
                budget, [BY_NAME[name] for name in DRAWN if budget in node_budgets or name != NEEDS_STARTS]
            )
        }
        for budget in (*node_budgets, *beyond)
    ]
    lemma_7: dict[str, tuple[float, ...]] = {}
    measured: dict[str, tuple[Estimate, ...]] = {}
    for each in drafted:
        of_drafter = Known(drafter=known_drafter(each.record, replicas=0))
        lemma_7[each.drafter] = tuple(
            of_drafter.bounds(budget, [BY_NAME[LEMMA_7]])[0].value for budget in (*node_budgets, *beyond)
        )
        measured[each.drafter] = tuple(measured_tokens(each.record, budget) for budget in node_budgets)
    return BudgetPanel(
        item.data,
        item.temperature,
        node_budgets,
        beyond,
        {name: tuple(values[name] for values in by_budget if name in values) for name in DRAWN},
        lemma_7,
        measured,
        tuple(oracle.limit_tokens_per_call(None, budget) for budget in node_budgets),
        tuple(
            DecodeLimits(budget, certified_decode(texts, budget), decode_bound(texts, budget).going_on)
            for budget in (*node_budgets, *beyond)
        ),
    )
