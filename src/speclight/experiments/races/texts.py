"""Texts sampled from the target: the ground on which races and coins are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from speclight.errors import InvalidInput
from speclight.experiments.races.text_settings import RaceTextSettings as RaceTextSettings
from speclight.measure.plan import run_plan
from speclight.measure.prompts import Prompt
from speclight.measure.store import read_table, reading, recording
from speclight.models.batch_sampling import SampledContinuation, sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids, conversation
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.seeds import derived_seed

KIND = "race-texts"


@dataclass(frozen=True, slots=True)
class RaceText:
    """One sampled text. number: among those of its temperature, from 0; seeds what is drawn along it."""

    number: int
    prompt_id: str
    temperature: float
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


def sample_race_texts(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: RaceTextSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[RaceText, ...]:
    """The texts of a plan, sampled where the folder does not hold them yet, a temperature at a time.

    Raises StorageError if the folder holds another plan, InvalidInput if too few of the prompts lead to texts
    of the length asked for.
    """
    with recording(folder, _plan(model, prompts, settings)) as records:
        for order, temperature in enumerate(settings.temperatures):
            if not records.has(_name(order)):
                records.write(_name(order), _sampled(model, prompts, settings, temperature))
            progress(order + 1, len(settings.temperatures), f"texts at temperature {temperature}")
    return read_texts(folder)


def read_texts(folder: Path) -> tuple[RaceText, ...]:
    """The texts that `sample_race_texts` left in a folder.

    Raises StorageError if it is unfinished or holds other records.
    """
    with reading(folder, KIND) as plan:
        return tuple(
            RaceText(
                number,
                row["prompt_id"],
                temperature,
                tuple(row["prompt_token_ids"]),
                tuple(row["token_ids"]),
            )
            for order, temperature in enumerate(plan["settings"]["temperatures"])
            for number, row in enumerate(read_table(folder, _name(order)).to_pylist())
        )


def _plan(model: CausalLM, prompts: tuple[Prompt, ...], settings: RaceTextSettings) -> dict[str, object]:
    return run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        settings=asdict(settings),
        prompt_ids=[prompt.prompt_id for prompt in prompts],
    )


def _name(order: int) -> str:
    return f"temperature-{order}"


def _sampled(
    model: CausalLM, prompts: tuple[Prompt, ...], settings: RaceTextSettings, temperature: float
) -> pa.Table:
    """The first texts, in the order of the prompts, that do not end early."""
    contexts = [chat_token_ids(model, conversation(prompt.turns)) for prompt in prompts]
    seeds = [derived_seed(settings.seed, number) for number in range(len(prompts))]
    texts: list[SampledContinuation] = sample_continuations(
        model, contexts, settings.tokens, SamplingSettings(temperature), seeds
    )
    full = [
        (prompt.prompt_id, context, list(text.token_ids))
        for prompt, context, text in zip(prompts, contexts, texts, strict=True)
        if len(text.token_ids) == settings.tokens and not text.ended
    ]
    if len(full) < settings.texts:
        raise InvalidInput(
            f"only {len(full)} of {len(prompts)} prompts lead to {settings.tokens} tokens at temperature "
            f"{temperature}, expected {settings.texts}: give more prompts, or ask for fewer texts or tokens"
        )
    names, before, after = zip(*full[: settings.texts], strict=True)
    return pa.table(
        {
            "prompt_id": list(names),
            "prompt_token_ids": pa.array(list(before), pa.list_(pa.int32())),
            "token_ids": pa.array(list(after), pa.list_(pa.int32())),
        }
    )
