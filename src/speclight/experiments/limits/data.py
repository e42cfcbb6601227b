"""The data of the limits test: texts, paired contexts and oracle decodes of question files, kept on disk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from speclight.errors import InvalidInput
from speclight.experiments.limits.settings import LimitsTestSettings as LimitsTestSettings
from speclight.measure.oracle_decode import OracleCall, run_oracle_decode
from speclight.measure.paired_contexts import PairedContext, PairedSettings, run_paired_contexts
from speclight.measure.profile import Profile
from speclight.measure.profile_run import run_profile
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.prompts import Prompt, read_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Family:
    """A question file: its name, its prompts' first turns, and the category of each prompt by its id."""

    name: str
    prompts: tuple[Prompt, ...]
    categories: dict[str, str]


def read_families(files: tuple[Path, ...], prompts: int) -> tuple[Family, ...]:
    """One family per question file, named after it, of its first `prompts` prompts.

    Raises InvalidInput for malformed files, a name met twice, or no file.
    """
    families: list[Family] = []
    for path in files:
        read = read_prompts(path)[:prompts]
        if path.stem in [family.name for family in families]:
            raise InvalidInput(f"two question files are called {path.stem}; rename one")
        families.append(
            Family(
                path.stem,
                tuple(replace(prompt, family=path.stem, turns=prompt.turns[:1]) for prompt in read),
                {prompt.prompt_id: prompt.family for prompt in read},
            )
        )
    if not families:
        raise InvalidInput("the test needs at least one question file, got none")
    return tuple(families)


class DataFolder:
    """Every measurement of the test under one folder, made when it is asked for first, read afterwards."""

    def __init__(
        self, model: CausalLM, settings: LimitsTestSettings, folder: Path, progress: Progress = silent
    ) -> None:
        self._model, self._settings, self._folder, self._progress = model, settings, folder, progress

    def texts(self, family: Family, temperature: float) -> Profile:
        """One text after every prompt."""
        name = f"{family.name}-t{temperature}-texts"
        settings = ProfileSettings(
            samples=1,
            max_tokens=self._settings.max_tokens,
            batch_size=self._settings.batch_size,
            # By name, so that no two parts of the data share their uniforms.
            seed=self._settings.seed + zlib.crc32(name.encode()),
            sampling=SamplingSettings(temperature),
        )
        return run_profile(self._model, family.prompts, settings, self._folder / name, self._progress)

    def contexts(self, family: Family, temperature: float) -> tuple[PairedContext, ...]:
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

    def oracle_calls(self, family: Family, temperature: float) -> list[OracleCall]:
        """The calls of an oracle decode along the texts, at every node budget decoded."""
        return run_oracle_decode(
            self._model,
            self.texts(family, temperature),
            self._settings.decode_texts,
            self._settings.decode_budgets,
            self._settings.decode_tokens,
            self._folder / f"{family.name}-t{temperature}-decode",
        )
