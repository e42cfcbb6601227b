"""The target's answers to a data set at one temperature: a profile in a folder of its own, sampled once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.question_files import QuestionFile
from speclight.measure.profile import Profile
from speclight.measure.profile_run import run_profile
from speclight.measure.profile_settings import ProfileSettings
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.progress import Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The answers to one data set at one temperature. folder: name of that of their records."""

    data: str
    temperature: float
    profile: Profile
    folder: str


def answers(
    model: CausalLM,
    data_sets: Sequence[QuestionFile],
    settings: PapersSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[Answers, ...]:
    """The answers to every data set at every temperature; what the folder holds is not sampled again.

    Raises StorageError if the folder holds answers of other settings, ContextOverflow for a prompt that does
    not fit.
    """
    found: list[Answers] = []
    for temperature in settings.temperatures:
        for data in data_sets:
            profile_settings = ProfileSettings(
                max_tokens=settings.max_tokens,
                batch_size=settings.batch_size,
                seed=settings.seed,
                sampling=SamplingSettings(temperature),
            )
            own = f"{data.slug}-t{temperature:g}"
            profile = run_profile(
                model, data.prompts, profile_settings, folder / own / "texts", progress, keep_laws=True
            )
            found.append(Answers(data.name, temperature, profile, own))
    return tuple(found)
