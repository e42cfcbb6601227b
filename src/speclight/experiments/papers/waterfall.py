"""The factor between the paper's Theorem 1 and a drafter, taken apart: which part is speculation error.

All at uniform positions of the same texts and at one node budget, so that the factors multiply to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from speclight.experiments.papers.figure_2 import BudgetPanel

BEST_TREE = "best tree"
# What is left behind on the way down, and the two numbers on either side of the step.
STEPS = {
    "proof of Theorem 1": ("theorem_1", "two_moments"),
    "two moments for the law": ("two_moments", "renewal"),
    "independent contexts": ("renewal", "ergodic_renewal"),
    "one threshold for all contexts": ("ergodic_renewal", BEST_TREE),
}
SPECULATION = "speculation error"


@dataclass(frozen=True, slots=True)
class GapFactors:
    """One drafter on one data set. whole: Theorem 1 as printed over the drafter's tokens per call at P.

    factors: of STEPS and SPECULATION (the best tree over the drafter's), in order; their product is `whole`.
    One below 1 is a step up: contexts taken as independent can be worth less than they are. limit_over_lemma:
    ln(P)/mu over Lemma 7 as printed, the paper's own reading of the gap.
    """

    data: str
    temperature: float
    drafter: str
    node_budget: int
    whole: float
    factors: dict[str, float]
    limit_over_lemma: float

    @property
    def speculation_share(self) -> float | None:
        """Share of ln(whole) that is speculation error; None if there is no gap."""
        return log(self.factors[SPECULATION]) / log(self.whole) if self.whole > 1.0 else None


def gap_factors(panels: Sequence[BudgetPanel]) -> tuple[GapFactors, ...]:
    """The factors of every drafter of every panel, at its largest budget."""
    return tuple(
        _factors(panel, drafter, panel.oracle[-1].value) for panel in panels for drafter in panel.measured
    )


def _factors(panel: BudgetPanel, drafter: str, best: float) -> GapFactors:
    reached = panel.measured[drafter][-1].value
    values = {name: panel.at_largest(name) for name in panel.bounds} | {BEST_TREE: best}
    factors = {step: values[above] / values[below] for step, (above, below) in STEPS.items()}
    lemma = panel.lemma_7[drafter][len(panel.node_budgets) - 1]
    return GapFactors(
        panel.data,
        panel.temperature,
        drafter,
        panel.node_budgets[-1],
        values["theorem_1"] / reached,
        {**factors, SPECULATION: best / reached},
        values["limit"] / lemma,
    )
