"""The paper's experiments over one set of answers: sample, trace, and make tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.papers.call_times import MeasuredTimes
from speclight.experiments.papers.claims import Claim, Evidence, judged_claims
from speclight.experiments.papers.drafted import drafted_answers, traced_answers
from speclight.experiments.papers.figure_1 import DrafterPoint, LineFit, drafter_points, line_fits
from speclight.experiments.papers.figure_2 import BudgetPanel, budget_panels
from speclight.experiments.papers.other_targets import SizePair, TargetMoments, size_pairs
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.table_1 import MeasuredMoments, measured_moments
from speclight.experiments.papers.texts import answers
from speclight.experiments.papers.waterfall import GapFactors, gap_factors
from speclight.experiments.question_files import QuestionFile
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent

# Drafters whose law at a place depends on the text before it alone, so that they can be laid over a text.
LAID_DRAFTERS = ("ngram", "layer_skip", "model", "eagle3", "medusa")
# What an experiment needs besides the answers.
_WITH_DRAFTERS = ("figure-1", "figure-2", "claims", "all")
_WITH_PANELS = ("figure-2", "claims", "all")


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What was asked for; the rest is empty. parameters: of the target, shared ones once."""

    target: str
    parameters: int
    moments: tuple[MeasuredMoments, ...]
    sizes: tuple[SizePair, ...]
    points: tuple[DrafterPoint, ...]
    fits: tuple[LineFit, ...]
    panels: tuple[BudgetPanel, ...]
    gaps: tuple[GapFactors, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """What was measured elsewhere and is judged with it: other targets' Table 1, and times of calls."""

    targets: tuple[TargetMoments, ...] = ()
    times: MeasuredTimes | None = None


NOTHING_BESIDE = Beside()


def reproduce(
    model: CausalLM,
    experiment: str,
    data_sets: Sequence[QuestionFile],
    drafters: Sequence[ComparedDrafter],
    settings: PapersSettings,
    folder: Path,
    beside: Beside = NOTHING_BESIDE,
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
    points = drafter_points(drafted, max(settings.node_budgets))
    panels = (
        budget_panels(found, drafted, traced_answers(found, folder), settings)
        if experiment in _WITH_PANELS
        else ()
    )
    return concluded_from(
        model.name,
        model.model.num_parameters(),
        measured_moments(model.name, found),
        points,
        panels,
        beside,
        settings.seed,
        is_judged=experiment in ("claims", "all"),
    )


def concluded_from(
    target: str,
    parameters: int,
    moments: tuple[MeasuredMoments, ...],
    points: tuple[DrafterPoint, ...],
    panels: tuple[BudgetPanel, ...],
    beside: Beside,
    seed: int,
    *,
    is_judged: bool = True,
) -> Reproduced:
    """What was measured, and what follows: pairs of targets, lines, gaps and, if asked for, verdicts."""
    evidence = Evidence(
        moments,
        size_pairs([TargetMoments(target, parameters, moments), *beside.targets]),
        line_fits(points, seed),
        panels,
        gap_factors(panels),
        beside.times,
    )
    return Reproduced(
        target,
        parameters,
        moments,
        evidence.sizes,
        points,
        evidence.fits,
        panels,
        evidence.gaps,
        judged_claims(evidence) if is_judged else (),
    )
