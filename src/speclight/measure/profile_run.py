"""Sampling a target's entropy profile in batches; a killed run resumes from any moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
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
from speclight.measure.step_histogram import StepHistogram, histograms_table
from speclight.measure.store import RecordFolder, recording
from speclight.measure.text_keys import turn_column
from speclight.measure.turns import AskedTurn, check_conversations_fit, turns_plan
from speclight.models.batch_sampling import SampledContinuation, StepObserver, sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids, conversation
from speclight.models.readings import Readings
from speclight.progress import Progress, in_steps, silent

# The units of a batch that every profile has; the last one written is "tokens".
PARTS = ("texts", "step-law", "tokens")


def run_profile(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: ProfileSettings,
    folder: Path,
    progress: Progress = silent,
    keep_laws: bool = False,
    readings: Readings | None = None,
) -> Profile:
    """Sample a text (or several) after every prompt and record what each token's law was.

    A turn is asked in the target's chat template, after the earlier turns and what was sampled for them (see
    `AskedTurn`), and its text is one more of the same prompt. The batch is the unit of work: its members,
    padding and thread count are fixed by the plan, finished batches are in place or absent, so a run killed
    at any moment resumes to the same bytes. keep_laws: of the batches still to be sampled, record
    the likely part of each law too; it changes no other record, so it is no part of the plan.
    readings: read the prompts, and keep them for whoever uses them next. Raises StorageError if the folder
    holds another plan, ContextOverflow if a prompt and its texts do not fit.
    """
    check_conversations_fit(model, prompts, settings.max_tokens, progress)
    batches = _batches(model, prompts, settings, progress)
    with recording(folder, _plan(model, prompts, settings, len(batches))) as records:
        for number, batch in enumerate(batches):
            laws_are_gone = records.lacks(unit_name(number, "laws"))
            if laws_are_gone or not all(records.has(unit_name(number, part)) for part in PARTS):
                _run_batch(model, batch, settings, records, number, keep_laws or laws_are_gone, readings)
            progress(number + 1, len(batches), f"profile: sampling {len(prompts)} prompts")
    return read_profile(folder)


def _plan(
    model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings, batches: int
) -> dict[str, object]:
    return run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        prompts=[asdict(prompt) for prompt in prompts],
        batches=batches,
        **turns_plan(prompts),
    )


def _batches(
    model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings, progress: Progress
) -> list[list[AskedTurn]]:
    """The first turns of all families in batches, those of like length together: little is padded."""
    asked = [
        AskedTurn(prompt, place, sample)
        for place, prompt in enumerate(prompts)
        for sample in range(settings.samples)
    ]
    lengths = [
        len(chat_token_ids(model, conversation(prompt.turns)))
        for prompt in in_steps(prompts, "counting the prompts' tokens", progress)
    ]
    asked.sort(key=lambda turn: lengths[turn.place])
    size = settings.batch_size
    return [asked[start : start + size] for start in range(0, len(asked), size)]


@dataclass(frozen=True, slots=True)
class _Sampled:
    """The text sampled at one turn, and the tokens before it."""

    asked: AskedTurn
    context: tuple[int, ...]
    text: SampledContinuation


def _run_batch(
    model: CausalLM,
    batch: list[AskedTurn],
    settings: ProfileSettings,
    records: RecordFolder,
    number: int,
    keep_laws: bool,
    readings: Readings | None,
) -> None:
    texts = sum(len(asked.prompt.turns) for asked in batch)
    columns: list[list[tuple[float, float, float]]] = [[] for _ in range(texts)]
    end_of_text = tuple(sorted(model.end_of_text))
    histograms = {
        family: StepHistogram(family, model.vocabulary_size, end_of_text)
        for family in dict.fromkeys(asked.prompt.family for asked in batch)
    }
    recorded = RecordedLaws(texts, end_of_text) if keep_laws else None

    def observe(
        asked: list[AskedTurn], texts_before: int, rows: IntArray, laws: FloatArray, tokens: IntArray
    ) -> None:
        log_probs = torch.from_numpy(laws).log().numpy()  # on all threads
        sampled = log_probs[np.arange(len(rows)), tokens]
        for place, row in enumerate(rows.tolist()):
            histogram, own = histograms[asked[row].prompt.family], slice(place, place + 1)
            (entropy,), (second_moment,) = histogram.add(laws[own], log_probs[own])
            columns[row + texts_before].append((sampled[place], entropy, second_moment))
        if recorded is not None:
            recorded.add(rows + texts_before, laws)

    sampled: list[_Sampled] = []
    waiting = batch
    while waiting:
        found = _answers(model, waiting, settings, partial(observe, waiting, len(sampled)), readings)
        sampled += found
        following = [each.asked.after(model.text_of(each.text.token_ids)) for each in found]
        waiting = [asked for asked in following if asked is not None]
    records.write(unit_name(number, "step-law"), histograms_table(list(histograms.values())))
    records.write(unit_name(number, "texts"), _texts_table(sampled))
    if recorded is not None:
        records.write(unit_name(number, "laws"), recorded.table())
    # Last, because its presence says that the batch is finished.
    records.write(unit_name(number, "tokens"), _tokens_table(sampled, columns))


def _answers(
    model: CausalLM,
    waiting: list[AskedTurn],
    settings: ProfileSettings,
    observe: StepObserver,
    readings: Readings | None,
) -> list[_Sampled]:
    contexts = [chat_token_ids(model, asked.messages) for asked in waiting]
    seeds = [asked.seed(settings.seed) for asked in waiting]
    texts = sample_continuations(
        model, contexts, settings.max_tokens, settings.sampling, seeds, observe, readings
    )
    return [_Sampled(*each) for each in zip(waiting, map(tuple, contexts), texts, strict=True)]


def _texts_table(sampled: list[_Sampled]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [each.asked.prompt.prompt_id for each in sampled],
            "family": [each.asked.prompt.family for each in sampled],
            "sample": pa.array([each.asked.sample for each in sampled], pa.int32()),
            **turn_column([each.asked.turn for each in sampled]),
            "prompt_token_ids": pa.array([each.context for each in sampled], pa.list_(pa.int32())),
            "tokens": pa.array([len(each.text.token_ids) for each in sampled], pa.int32()),
            "ended": [each.text.ended for each in sampled],
        }
    )


def _tokens_table(sampled: list[_Sampled], columns: list[list[tuple[float, float, float]]]) -> pa.Table:
    lengths = [len(each.text.token_ids) for each in sampled]
    numbers = np.array([row for column in columns for row in column]).reshape(-1, 3)
    return pa.table(
        {
            "prompt_id": np.repeat([each.asked.prompt.prompt_id for each in sampled], lengths),
            "sample": pa.array(np.repeat([each.asked.sample for each in sampled], lengths), pa.int32()),
            **turn_column(np.repeat([each.asked.turn for each in sampled], lengths).tolist()),
            "position": pa.array(np.concatenate([np.arange(length) for length in lengths]), pa.int32()),
            "token_id": pa.array([token for each in sampled for token in each.text.token_ids], pa.int32()),
            "log_prob_nats": numbers[:, 0],
            "entropy_nats": numbers[:, 1],
            "second_log_moment_nats2": numbers[:, 2],
        }
    )
