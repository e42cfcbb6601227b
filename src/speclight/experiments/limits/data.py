"""The data of the limits test: texts, paired contexts and oracle decodes of question files, kept on disk."""

from __future__ import annotations

import zlib
from pathlib import Path

from speclight.experiments.limits.settings import LimitsTestSettings as LimitsTestSettings
from speclight.experiments.question_files import QuestionFile
from speclight.measure.oracle_decode import OracleCall, run_oracle_decode
from speclight.measure.paired_contexts import PairedContext, PairedSettings, run_paired_contexts
from speclight.measure.profile import Profile
from speclight.measure.profile_run import run_profile
from speclight.measure.profile_settings import ProfileSettings
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent


class DataFolder:
    """Every measurement of the test under one folder, made when it is asked for first, read afterwards."""

    def __init__(
        self, model: CausalLM, settings: LimitsTestSettings, folder: Path, progress: Progress = silent
    ) -> None:
        self._model, self._settings, self._folder, self._progress = model, settings, folder, progress

    def texts(self, family: QuestionFile, temperature: float) -> Profile:
        """One text after the first turn of every prompt."""
        name = f"{family.name}-t{temperature}-texts"
        settings = ProfileSettings(
            samples=1,
            max_tokens=self._settings.max_tokens,
            batch_size=self._settings.batch_size,
            # By name, so that no two parts of the data share their uniforms.
            seed=self._settings.seed + zlib.crc32(name.encode()),
            sampling=SamplingSettings(temperature),
        )
        return run_profile(self._model, family.first_turns, settings, self._folder / name, self._progress)

    def contexts(self, family: QuestionFile, temperature: float) -> tuple[PairedContext, ...]:
        """Searched trees and fresh continuations at contexts spread evenly over the texts."""
        settings = PairedSettings(
            self._settings.contexts,
            self._settings.continuations,
            self._settings.node_budgets,
            self._settings.searched_nodes,
            self._settings.seed,
        )
        folder = self._folder / f"{family.name}-t{temperature}-contexts"
        return run_paired_contexts(
            self._model, self.texts(family, temperature), settings, folder, self._progress
        )

    def oracle_calls(self, family: QuestionFile, temperature: float) -> list[OracleCall]:
        """The calls of an oracle decode along the texts, at every node budget decoded."""
        return run_oracle_decode(
            self._model,
            self.texts(family, temperature),
            self._settings.decode_texts,
            self._settings.decode_budgets,
            self._settings.decode_tokens,
            self._folder / f"{family.name}-t{temperature}-decode",
        )
