"""The data of the limits test: traces from some prompts of a family, oracle trees from its other prompts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from speclight.errors import InvalidInput
from speclight.experiments.limits.settings import LimitsTestSettings as LimitsTestSettings
from speclight.measure.oracle_decode import OracleCall, run_oracle_decode
from speclight.measure.oracle_run import OracleRecord, OracleSettings, run_oracle
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt, read_prompts, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent

SHIPPED = "shipped"
# Without summarisation: its prompts are ten times as long, and the strata need no documents.
SHIPPED_FAMILIES = ("code", "conversation", "maths", "qa")


@dataclass(frozen=True, slots=True)
class Family:
    """A question file: its name and its prompts, those for traces and those for the oracle."""

    name: str
    trace: tuple[Prompt, ...]
    oracle: tuple[Prompt, ...]


def read_families(files: tuple[Path, ...], trace_prompts: int) -> tuple[Family, ...]:
    """One family per question file, named after it whatever categories stand inside.

    Raises InvalidInput for malformed files, a name met twice, or too few prompts to leave
    some for the oracle.
    """
    families: list[Family] = []
    for path in files:
        prompts = tuple(replace(prompt, family=path.stem) for prompt in read_prompts(path))
        if len(prompts) <= trace_prompts:
            raise InvalidInput(
                f"{path.name} holds {len(prompts)} prompts, expected more than the {trace_prompts} that give "
                "traces; lower the number of trace prompts"
            )
        if path.stem in [family.name for family in families] or path.stem == SHIPPED:
            raise InvalidInput(f"two question files are called {path.stem}; rename one")
        families.append(Family(path.stem, prompts[:trace_prompts], prompts[trace_prompts:]))
    if not families:
        raise InvalidInput("the test needs at least one question file, got none")
    return tuple(families)


class DataFolder:
    """Every measurement of the test under one folder, made when it is asked for first, read afterwards."""

    def __init__(
        self, model: CausalLM, settings: LimitsTestSettings, folder: Path, progress: Progress = silent
    ) -> None:
        self._model, self._settings, self._folder, self._progress = model, settings, folder, progress

    def shipped(self, temperature: float) -> Profile:
        """One text after each of the first shipped prompts of the short families, all as one family."""
        prompts = tuple(
            replace(prompt, family=SHIPPED)
            for family in SHIPPED_FAMILIES
            for prompt in shipped_prompts([family])[: self._settings.shipped_prompts]
        )
        return self._profile(f"{SHIPPED}-t{temperature}", prompts, temperature, self._settings.shipped_tokens)

    def traces(self, family: Family, temperature: float) -> tuple[Profile, ...]:
        """Rounds of one text per trace prompt, until they hold trace_tokens tokens."""
        rounds: list[Profile] = []
        tokens = 0
        while tokens < self._settings.trace_tokens:
            name = f"{family.name}-t{temperature}-trace-{len(rounds)}"
            rounds.append(self._profile(name, family.trace, temperature, self._settings.max_tokens))
            tokens += sum(len(text.token_ids) for text in rounds[-1].texts)
        return tuple(rounds)

    def oracle_texts(self, family: Family, temperature: float) -> Profile:
        """One text after every oracle prompt."""
        name = f"{family.name}-t{temperature}-texts"
        return self._profile(name, family.oracle, temperature, self._settings.max_tokens)

    def oracle(self, family: Family, temperature: float) -> OracleRecord:
        """Best trees at starts spread evenly over the oracle texts, in rounds of `oracle_round` starts."""
        texts = self.oracle_texts(family, temperature)
        rounds: list[OracleRecord] = []
        while sum(len(done.rows) for done in rounds) < self._settings.oracle_contexts:
            rounds.append(
                run_oracle(
                    self._model,
                    texts,
                    # The seed moves the grid of starts; rounds may meet at a start, as independent draws do.
                    OracleSettings(
                        self._settings.oracle_round,
                        max(self._settings.node_budgets),
                        self._settings.seed + len(rounds),
                    ),
                    self._folder / f"{family.name}-t{temperature}-oracle-{len(rounds)}",
                    self._progress,
                )
            )
            if not rounds[-1].rows:
                raise InvalidInput("a round of the oracle searched no start; raise oracle_round")
        return replace(rounds[0], rows=tuple(row for done in rounds for row in done.rows))

    def oracle_calls(self, family: Family, temperature: float) -> list[OracleCall]:
        """The calls of an oracle decode along the first oracle texts, at every node budget decoded."""
        return run_oracle_decode(
            self._model,
            self.oracle_texts(family, temperature),
            self._settings.decode_texts,
            self._settings.decode_budgets,
            self._settings.decode_starts,
            self._folder / f"{family.name}-t{temperature}-decode",
        )

    def _profile(
        self, name: str, prompts: tuple[Prompt, ...], temperature: float, max_tokens: int
    ) -> Profile:
        settings = ProfileSettings(
            samples=1,
            max_tokens=max_tokens,
            batch_size=self._settings.batch_size,
            # By name, so that no two parts of the data share their uniforms.
            seed=self._settings.seed + zlib.crc32(name.encode()),
            sampling=SamplingSettings(temperature),
        )
        return run_profile(self._model, prompts, settings, self._folder / name, self._progress)
