"""The oracle at many contexts of a profile: chosen from its start law, resumable, kept as prefix sums."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, mean_over, within
from speclight.measure.oracle_settings import OracleSettings as OracleSettings
from speclight.measure.plan import run_plan
from speclight.measure.profile import Profile, ProfiledText, text_key
from speclight.measure.store import read_table, reading, recording
from speclight.measure.true_limit import oracle_contexts
from speclight.measure.turns import turn_column
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.seeds import stream
from speclight.theory.laws.start_law import usable_starts

START_LAW = "uniform positions"

KIND = "oracle"


@dataclass(frozen=True, slots=True, eq=False)
class OracleRow:
    """The oracle at one start. start: index of the first token the call would emit, in the generated text.

    path_log_probs: [nodes] of the best tree, falling. depth: of the tree. calls: target calls of the search.
    turn: of the prompt, from 1.
    """

    prompt_id: str
    family: str
    sample: int
    start: int
    path_log_probs: FloatArray
    depth: int
    calls: int
    turn: int = 1

    @property
    def key(self) -> tuple[str | int, ...]:
        """The key of the text that was searched along, as `ProfiledText.key`."""
        return text_key(self.prompt_id, self.sample, self.turn)


@dataclass(frozen=True, slots=True, eq=False)
class OracleRecord:
    """The oracle at all chosen starts, every family."""

    settings: OracleSettings
    sampling: SamplingSettings
    rows: tuple[OracleRow, ...]

    def of_family(self, family: str) -> tuple[OracleRow, ...]:
        """The rows of one family."""
        return tuple(row for row in self.rows if row.family == family)

    def tokens_per_call(self, family: str | None, node_budget: int) -> Estimate:
        """Mean of the best possible E[X] over the family's starts, or all starts, clustered by prompt.

        The interval is cut to 1..node_budget, where E[X] must lie; with few prompts it can reach beyond.
        """
        rows = self.rows if family is None else self.of_family(family)
        values = [float(np.exp(row.path_log_probs[:node_budget]).sum()) for row in rows]
        return within(mean_over([row.prompt_id for row in rows], values), 1.0, float(node_budget))


def run_oracle(
    model: CausalLM,
    profile: Profile,
    settings: OracleSettings,
    folder: Path,
    progress: Progress = silent,
) -> OracleRecord:
    """Search the best tree at `contexts` starts of every family of a profile.

    Starts are an even spread over all positions that the ergodic bound may use at the same node budget, so
    both sides average over one start law; texts of later turns count like those of first ones. One text is
    the unit of work; a killed run resumes to the same bytes. Raises StorageError if the folder holds another
    plan, InvalidInput if texts are too short.
    """
    chosen = chosen_starts(profile, settings)
    with recording(folder, _plan(model, profile, settings)) as records:
        for number, (text, starts) in enumerate(chosen):
            name = f"text-{number:04d}"
            if not records.has(name):
                records.write(name, _search(model, text, starts, settings, profile.settings.sampling))
            progress(number + 1, len(chosen), f"oracle: best trees of {settings.node_budget} nodes")
    return read_oracle(folder)


def read_oracle(folder: Path) -> OracleRecord:
    """The record that `run_oracle` left in a folder. Raises StorageError if it is not finished."""
    with reading(folder, KIND) as plan:
        rows = [
            _row(row)
            for number in range(plan["texts"])
            for row in read_table(folder, f"text-{number:04d}").to_pylist()
        ]
        sampling = SamplingSettings(**plan["sampling"])
        return OracleRecord(OracleSettings(**plan["settings"]), sampling, tuple(rows))


def _row(columns: dict[str, Any]) -> OracleRow:
    known = {field.name: columns[field.name] for field in fields(OracleRow) if field.name in columns}
    return OracleRow(**{**known, "path_log_probs": np.array(columns["path_log_probs"])})


def _plan(model: CausalLM, profile: Profile, settings: OracleSettings) -> dict[str, object]:
    chosen = chosen_starts(profile, settings)
    return run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        sampling=asdict(profile.settings.sampling),
        texts=len(chosen),
        starts=[[*text.key, starts] for text, starts in chosen],
    )


def chosen_starts(profile: Profile, settings: OracleSettings) -> list[tuple[ProfiledText, list[int]]]:
    """Texts and the starts to search along each: an even spread over all usable positions of every family.

    Raises InvalidInput if a family has no start with enough text behind it.
    """
    chosen: list[tuple[ProfiledText, list[int]]] = []
    for number, family in enumerate(profile.families):
        texts = profile.of_family(family)
        sampled = profile.sampled_texts(family)
        usable = [usable_starts(text, settings.node_budget) for text in sampled]
        pool = [(text, start) for text, count in enumerate(usable) for start in range(count)]
        if not pool:
            raise InvalidInput(
                f"no text of family {family!r} has a start followed by {settings.node_budget - 1} tokens; "
                "profile longer texts (max_tokens) or lower the node budget",
                argument="max_tokens",
            )
        # Systematic sampling: every start is equally likely, and prompts share the contexts evenly.
        count = min(settings.contexts, len(pool))
        offset = stream(settings.seed, number).random()
        picked = [pool[int((offset + place) * len(pool) / count)] for place in range(count)]
        for text in dict.fromkeys(text for text, _ in picked):
            chosen.append((texts[text], [start for owner, start in picked if owner == text]))
    return chosen


def _search(
    model: CausalLM,
    text: ProfiledText,
    starts: list[int],
    settings: OracleSettings,
    sampling: SamplingSettings,
) -> pa.Table:
    roots = [len(text.prompt_token_ids) + start - 1 for start in starts]
    token_ids = [*text.prompt_token_ids, *text.token_ids][: max(roots) + 1]
    found = oracle_contexts(model, token_ids, roots, settings.node_budget, sampling)
    return pa.table(
        {
            "prompt_id": [text.prompt_id] * len(starts),
            "family": [text.family] * len(starts),
            "sample": pa.array([text.sample] * len(starts), pa.int32()),
            **turn_column([text.turn] * len(starts)),
            "start": pa.array(starts, pa.int32()),
            "path_log_probs": pa.array([context.path_log_probs for context in found], pa.list_(pa.float64())),
            "depth": pa.array([context.depth for context in found], pa.int32()),
            "calls": pa.array([context.calls for context in found], pa.int32()),
        }
    )
