"""Target and drafter laws at the same contexts of the target's own text, recorded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from speclight.drafting.layer_skip import early_exit, layers_by_default
from speclight.errors import InvalidInput
from speclight.measure.prompts import Prompt
from speclight.measure.store import RecordFolder, read_plan, read_table
from speclight.models.batch_sampling import sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.models.sampling import SamplingSettings

Progress = Callable[[int, int, str], None]
LogitArray = npt.NDArray[np.float32]
KIND = "race-records"


@dataclass(frozen=True, slots=True)
class RaceRecordSettings:
    """texts: per temperature. tokens: sampled per text; only texts that reach this length are kept.

    drafter_layers: of the target's first layers that draft; None: as many as `layer_skip` takes by default.
    Raises InvalidInput for counts below 1 or a temperature that is not positive.
    """

    texts: int = 10
    tokens: int = 36
    drafter_layers: int | None = None
    temperatures: tuple[float, ...] = (0.6, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.texts < 1 or self.tokens < 1 or min(self.temperatures, default=0.0) <= 0.0:
            raise InvalidInput(
                f"got texts {self.texts}, tokens {self.tokens}, temperatures {self.temperatures}; expected "
                "counts >= 1 and at least one temperature, all > 0"
            )


@dataclass(frozen=True, slots=True, eq=False)
class RecordedText:
    """One sampled text. Logits, unprocessed: [tokens, vocab], row t is the law of token t.

    prompt_token_ids, token_ids: the text before and after the first row. drafter_logits: of the target's own
    first layers (`layer_skip`).
    """

    prompt_id: str
    temperature: float
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    target_logits: LogitArray
    drafter_logits: LogitArray


def record_laws(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: RaceRecordSettings,
    folder: Path,
    progress: Progress | None = None,
) -> None:
    """Sample texts at each temperature and read them once more with target and early exit.

    The text is the unit of work: a killed run goes on with the first one missing. About 0.4 MB a token at a
    vocabulary of 50,000. Raises StorageError if the folder holds another plan, InvalidInput if too few of the
    prompts lead to texts of the length asked for.
    """
    records = RecordFolder(folder, _plan(model, prompts, settings))
    drafter = early_exit(model, settings.drafter_layers or layers_by_default(model))
    for order, temperature in enumerate(settings.temperatures):
        names = [_name(order, number) for number in range(settings.texts)]
        if all(records.has(name) for name in names):
            continue
        chosen = _sampled(model, prompts, settings, temperature)
        for number, (prompt, prompt_ids, token_ids) in enumerate(chosen):
            if not records.has(names[number]):
                rows = [_logits(each, [*prompt_ids, *token_ids]) for each in (model, drafter)]
                records.write(
                    names[number], _table(prompt.prompt_id, prompt_ids, token_ids, rows[0], rows[1])
                )
            if progress is not None:
                progress(number + 1, len(chosen), f"recording laws at temperature {temperature}")


def read_laws(folder: Path) -> Iterator[RecordedText]:
    """The texts that `record_laws` left in a folder, one at a time.

    Raises StorageError if it is unfinished, InvalidInput if it holds other records.
    """
    plan = read_plan(folder)
    if plan.get("kind") != KIND:
        raise InvalidInput(f"{folder.name} holds a {plan.get('kind')!r}, expected the records of laws")
    for order, temperature in enumerate(plan["settings"]["temperatures"]):
        for number in range(plan["settings"]["texts"]):
            row = read_table(folder, _name(order, number)).to_pylist()[0]
            shape = (len(row["token_ids"]), -1)
            yield RecordedText(
                row["prompt_id"],
                temperature,
                tuple(row["prompt_token_ids"]),
                tuple(row["token_ids"]),
                np.frombuffer(row["target_logits"], dtype=np.float32).reshape(shape),
                np.frombuffer(row["drafter_logits"], dtype=np.float32).reshape(shape),
            )


def number_of_texts(folder: Path) -> int:
    """How many texts the records of a folder are planned to hold, all temperatures together."""
    settings = read_plan(folder)["settings"]
    return settings["texts"] * len(settings["temperatures"])


def _plan(model: CausalLM, prompts: tuple[Prompt, ...], settings: RaceRecordSettings) -> dict[str, object]:
    return {
        "kind": KIND,
        "target": model.name,
        "weights_sha256": model.loaded.weights_sha256,
        "dtype": str(model.model.dtype),
        "drafter_layers": settings.drafter_layers or layers_by_default(model),
        "settings": asdict(settings),
        "prompt_ids": [prompt.prompt_id for prompt in prompts],
    }


def _name(order: int, number: int) -> str:
    return f"temperature-{order}-text-{number:03d}"


def _sampled(
    model: CausalLM, prompts: tuple[Prompt, ...], settings: RaceRecordSettings, temperature: float
) -> list[tuple[Prompt, list[int], tuple[int, ...]]]:
    """The first texts, in the order of the prompts, that do not end early."""
    contexts = [chat_token_ids(model, [{"role": "user", "content": prompt.turns[0]}]) for prompt in prompts]
    seeds = [
        int(np.random.SeedSequence([settings.seed, number]).generate_state(1, np.uint64)[0])
        for number in range(len(prompts))
    ]
    texts = sample_continuations(model, contexts, settings.tokens, SamplingSettings(temperature), seeds)
    full = [
        (prompt, context, text.token_ids)
        for prompt, context, text in zip(prompts, contexts, texts, strict=True)
        if len(text.token_ids) == settings.tokens and not text.ended
    ]
    if len(full) < settings.texts:
        raise InvalidInput(
            f"only {len(full)} of {len(prompts)} prompts lead to {settings.tokens} tokens at temperature "
            f"{temperature}, expected {settings.texts}: give more prompts, or ask for fewer texts or tokens"
        )
    return full[: settings.texts]


def _logits(model: CausalLM, text: list[int]) -> LogitArray:
    """[text - 1, vocab] logits after every token but the last."""
    length = len(text) - 1
    visible = torch.ones(1, length, length, dtype=torch.bool).tril()
    tokens = torch.tensor([text[:-1]])
    output = model.forward(model.new_cache(), tokens, torch.arange(length)[None], visible, 0)
    return output.logits[0].float().cpu().numpy()


def _table(
    prompt_id: str, prompt_ids: list[int], token_ids: tuple[int, ...], target: LogitArray, drafter: LogitArray
) -> pa.Table:
    first = len(prompt_ids) - 1
    return pa.table(
        {
            "prompt_id": [prompt_id],
            "prompt_token_ids": pa.array([prompt_ids], pa.list_(pa.int32())),
            "token_ids": pa.array([list(token_ids)], pa.list_(pa.int32())),
            "target_logits": pa.array([target[first:].tobytes()], pa.large_binary()),
            "drafter_logits": pa.array([drafter[first:].tobytes()], pa.large_binary()),
        }
    )
