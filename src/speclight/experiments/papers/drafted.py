"""Drafters laid over the answers: one trace for each data set and temperature, with the best trees too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.papers.texts import Answers
from speclight.measure.drafter_profile import DrafterProfile
from speclight.measure.drafter_profile_run import run_drafter_profiles
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.measure.trace.record import Trace, read_trace
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent

DRAFTED = "drafted"


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
    return tuple(
        DraftedAnswers(item.data, item.temperature, drafter, record)
        for item in found
        for drafter, record in run_drafter_profiles(
            model, drafters, item.profile, laid, folder / item.folder / DRAFTED, progress
        ).items()
    )


def traced_answers(found: Sequence[Answers], folder: Path) -> Mapping[tuple[str, float], Trace]:
    """By data set and temperature, the traces that `drafted_answers` made, with the target's best trees."""
    return {(item.data, item.temperature): read_trace(folder / item.folder / DRAFTED) for item in found}
