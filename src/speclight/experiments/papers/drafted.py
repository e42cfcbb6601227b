"""Drafters laid over the answers: a drafter profile for every data set, temperature and drafter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.texts import Answers
from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.drafter_profile_run import run_drafter_profile
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class DraftedAnswers:
    """One drafter along the answers to one data set at one temperature."""

    data: str
    temperature: float
    drafter: str
    record: DrafterProfile


def drafted_answers(
    model: CausalLM,
    found: Sequence[Answers],
    drafters: Sequence[ComparedDrafter],
    settings: PapersSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[DraftedAnswers, ...]:
    """Every drafter along every one of the answers; what the folder holds is not drafted again.

    Raises StorageError if the folder holds records of other settings, InvalidInput for answers that are all
    shorter than the largest node budget.
    """
    laid = DrafterProfileSettings(node_budget=max(settings.node_budgets), every=settings.every)
    drafted: list[DraftedAnswers] = []
    for item in found:
        for drafter in drafters:
            own = folder / item.folder / drafter.label
            record = run_drafter_profile(model, drafter, item.profile, laid, own, progress)
            drafted.append(DraftedAnswers(item.data, item.temperature, drafter.label, record))
    return tuple(drafted)
