"""The paper's experiments over one set of answers: sample, draft, search, and make tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.papers.claims import Claim, judged_claims
from speclight.experiments.papers.drafted import drafted_answers
from speclight.experiments.papers.figure_1 import DrafterPoint, LineFit, drafter_points, line_fits
from speclight.experiments.papers.figure_2 import BudgetPanel, budget_panels, searched
from speclight.experiments.papers.question_files import DataSet
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.table_1 import MeasuredMoments, measured_moments
from speclight.experiments.papers.texts import answers
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent

# Drafters whose law at a place depends on the text before it alone, so that they can be laid over a text.
LAID_DRAFTERS = ("ngram", "layer_skip", "model", "eagle3", "medusa")
# What an experiment needs besides the answers.
_WITH_DRAFTERS = ("figure-1", "figure-2", "claims", "all")
_WITH_SEARCH = ("figure-2", "claims", "all")


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What was asked for; the rest is empty."""

    target: str
    moments: tuple[MeasuredMoments, ...]
    points: tuple[DrafterPoint, ...]
    fits: tuple[LineFit, ...]
    panels: tuple[BudgetPanel, ...]
    claims: tuple[Claim, ...]


def reproduce(
    model: CausalLM,
    experiment: str,
    data_sets: tuple[DataSet, ...],
    drafters: Sequence[ComparedDrafter],
    settings: PapersSettings,
    folder: Path,
    progress: Progress = silent,
) -> Reproduced:
    """One of table-1, figure-1, figure-2, claims and all.

    They share the records in the folder, and a killed run goes on where it stopped. Raises StorageError if
    the folder holds records of other settings, InvalidInput for answers shorter than the largest node budget.
    """
    found = answers(model, data_sets, settings, folder, progress)
    drafted = (
        drafted_answers(model, found, drafters, settings, folder, progress)
        if experiment in _WITH_DRAFTERS
        else ()
    )
    oracles = searched(model, found, settings, folder, progress) if experiment in _WITH_SEARCH else {}
    points = drafter_points(drafted, max(settings.node_budgets))
    panels = (
        budget_panels(found, drafted, oracles, settings.node_budgets) if experiment in _WITH_SEARCH else ()
    )
    moments, fits = measured_moments(model.name, found), line_fits(points, settings.seed)
    return Reproduced(
        model.name,
        moments,
        points,
        fits,
        panels,
        judged_claims(moments, fits, panels) if experiment in ("claims", "all") else (),
    )
