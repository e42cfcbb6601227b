"""Sampling a target's entropy profile: in batches, resumable, whatever moment it is killed at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.measure.plan import run_plan
from speclight.measure.profile import KIND, Profile, read_profile, unit_name
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.prompts import Prompt
from speclight.measure.recorded_laws import RecordedLaws
from speclight.measure.step_histogram import StepHistogram
from speclight.measure.store import RecordFolder, recording
from speclight.models.batch_sampling import SampledContinuation, sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.progress import Progress, silent
from speclight.seeds import derived_seed

# The units of a batch that every profile has; the last one written is "tokens".
PARTS = ("texts", "step-law", "tokens")


@dataclass(frozen=True, slots=True)
class _Item:
    prompt_id: str
    family: str
    sample: int
    token_ids: tuple[int, ...]
    seed: int


def run_profile(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: ProfileSettings,
    folder: Path,
    progress: Progress = silent,
    keep_laws: bool = False,
) -> Profile:
    """Sample a text (or several) after every prompt and record what each token's law was.

    The prompt is its first user turn in the target's chat template. The batch is the unit of work: its
    members, padding and thread count are fixed by the plan, finished batches are in place or absent, so a
    run killed at any moment resumes to the same bytes. keep_laws: of the batches still to be sampled, record
    the likely part of each law too; it changes no other record, so it is no part of the plan. Raises
    StorageError if the folder holds another plan.
    """
    batches = _batches(model, prompts, settings)
    with recording(folder, _plan(model, prompts, settings)) as records:
        for number, batch in enumerate(batches):
            laws_are_gone = records.lacks(unit_name(number, "laws"))
            if laws_are_gone or not all(records.has(unit_name(number, part)) for part in PARTS):
                _run_batch(model, batch, settings, records, number, keep_laws or laws_are_gone)
            progress(number + 1, len(batches), f"profile: sampling {len(prompts)} prompts")
    return read_profile(folder)


def _plan(model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings) -> dict[str, object]:
    return run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        prompts=[asdict(prompt) for prompt in prompts],
        batches=len(_batches(model, prompts, settings)),
    )


def _batches(model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings) -> list[list[_Item]]:
    """Batches of one family each, prompts of like length together, so that little is padded."""
    items = [
        _Item(
            prompt.prompt_id,
            prompt.family,
            sample,
            tuple(chat_token_ids(model, [{"role": "user", "content": prompt.turns[0]}])),
            # One seed per text, whatever batch it lands in.
            derived_seed(settings.seed, index, sample),
        )
        for index, prompt in enumerate(prompts)
        for sample in range(settings.samples)
    ]
    batches: list[list[_Item]] = []
    for family in dict.fromkeys(item.family for item in items):
        members = sorted((item for item in items if item.family == family), key=lambda i: len(i.token_ids))
        size = settings.batch_size
        batches += [members[start : start + size] for start in range(0, len(members), size)]
    return batches


def _run_batch(
    model: CausalLM,
    batch: list[_Item],
    settings: ProfileSettings,
    records: RecordFolder,
    number: int,
    keep_laws: bool,
) -> None:
    columns: list[list[tuple[float, float, float]]] = [[] for _ in batch]
    end_of_text = tuple(sorted(model.end_of_text))
    histogram = StepHistogram(batch[0].family, model.vocabulary_size, end_of_text)
    recorded = RecordedLaws(len(batch), end_of_text) if keep_laws else None

    def observe(rows: IntArray, laws: FloatArray, tokens: IntArray) -> None:
        entropies, second_moments = histogram.add(laws)
        sampled = np.log(laws[np.arange(len(rows)), tokens])
        for place, row in enumerate(rows.tolist()):
            columns[row].append((sampled[place], entropies[place], second_moments[place]))
        if recorded is not None:
            recorded.add(rows, laws)

    texts = sample_continuations(
        model,
        [list(item.token_ids) for item in batch],
        settings.max_tokens,
        settings.sampling,
        [item.seed for item in batch],
        observe,
    )
    records.write(unit_name(number, "step-law"), histogram.table())
    records.write(unit_name(number, "texts"), _texts_table(batch, texts))
    if recorded is not None:
        records.write(unit_name(number, "laws"), recorded.table())
    # Last, because its presence says that the batch is finished.
    records.write(unit_name(number, "tokens"), _tokens_table(batch, texts, columns))


def _texts_table(batch: list[_Item], texts: list[SampledContinuation]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [item.prompt_id for item in batch],
            "family": [item.family for item in batch],
            "sample": pa.array([item.sample for item in batch], pa.int32()),
            "prompt_token_ids": pa.array([item.token_ids for item in batch], pa.list_(pa.int32())),
            "tokens": pa.array([len(text.token_ids) for text in texts], pa.int32()),
            "ended": [text.ended for text in texts],
        }
    )


def _tokens_table(
    batch: list[_Item], texts: list[SampledContinuation], columns: list[list[tuple[float, float, float]]]
) -> pa.Table:
    lengths = [len(text.token_ids) for text in texts]
    numbers = np.array([row for column in columns for row in column]).reshape(-1, 3)
    return pa.table(
        {
            "prompt_id": np.repeat([item.prompt_id for item in batch], lengths),
            "sample": pa.array(np.repeat([item.sample for item in batch], lengths), pa.int32()),
            "position": pa.array(np.concatenate([np.arange(length) for length in lengths]), pa.int32()),
            "token_id": pa.array([token for text in texts for token in text.token_ids], pa.int32()),
            "log_prob_nats": numbers[:, 0],
            "entropy_nats": numbers[:, 1],
            "second_log_moment_nats2": numbers[:, 2],
        }
    )
