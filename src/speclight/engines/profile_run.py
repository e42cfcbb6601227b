"""The profile of a target behind an endpoint: texts and the log-probabilities of their tokens, resumable.

The records are those of `speclight profile`, less what an endpoint cannot give: entropies and laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from speclight.engines.client import EngineClient
from speclight.engines.completion import CompletionRequest, EngineText
from speclight.engines.stated_law import Law, stated_law
from speclight.errors import EngineError, InvalidInput
from speclight.measure.profile import Profile, ProfileSettings, read_profile
from speclight.measure.prompts import Prompt
from speclight.measure.store import RecordFolder, recording
from speclight.measure.text_keys import turn_column
from speclight.measure.turns import AskedTurn, turns_plan
from speclight.progress import Progress, silent

MOST_SEED = 2**31 - 1  # engines take 31 bits
Rendering = Callable[[list[dict[str, str]]], list[int]]
"""From a conversation to token ids, by the model's own tokenizer on this machine."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sampled:
    asked: AskedTurn
    prompt_token_ids: tuple[int, ...]
    text: EngineText


@dataclass(frozen=True, slots=True)
class _Item:
    asked: AskedTurn
    unit: int


def profile_engine(
    client: EngineClient,
    prompts: tuple[Prompt, ...],
    settings: ProfileSettings,
    folder: Path,
    top: int = 0,
    rendering: Rendering | None = None,
    progress: Progress = silent,
) -> Profile:
    """Sample a text (or several) after every turn of every prompt from an engine, see `AskedTurn`, and record
    the log-probability of each token.

    top: how many likeliest tokens to record at each position too. rendering: where the engine cannot turn a
    conversation into token ids; where it can, both must agree. settings.batch_size texts are one unit of
    work; a run killed at any moment goes on with the units that are missing. Unlike a local profile, equal
    seeds need not give equal texts: that is up to the engine.
    Raises EngineError if an answer cannot be used, the log-probabilities are not of the law sampled from, or
    another model answers than at the start; StorageError if the folder holds another plan.
    """
    settings.check_entropy()
    first = _first_answer(client, prompts, settings, rendering)
    items = _items(prompts, settings)
    plan = _plan(client, prompts, settings, top, first, 1 + items[-1].unit)
    with recording(folder, plan) as records:
        _sample(client, items, records, settings, first, top, rendering, progress)
    return read_profile(folder)


def _sample(
    client: EngineClient,
    items: list[_Item],
    records: RecordFolder,
    settings: ProfileSettings,
    first: EngineText,
    top: int,
    rendering: Rendering | None,
    progress: Progress,
) -> None:
    """Ask for every text whose unit is missing, and write each unit as soon as it is whole."""
    missing = [item for item in items if not records.has(_name(item.unit, "tokens"))]
    done: dict[int, dict[int, list[_Sampled]]] = {}
    finished = len(items) - len(missing)

    def texts_of(item: _Item) -> list[_Sampled]:
        sampled: list[_Sampled] = []
        asked: AskedTurn | None = item.asked
        while asked is not None:
            request = CompletionRequest(
                rendered(client, asked, rendering),
                settings.max_tokens,
                settings.sampling.temperature,
                top,
                asked.seed(settings.seed) & MOST_SEED,
            )
            text = _same_model(client.complete(request), first)
            sampled.append(_Sampled(asked, request.token_ids or (), text))
            asked = _next_turn(asked, text)
        return sampled

    by_unit = {unit: [item for item in items if item.unit == unit] for unit in {i.unit for i in missing}}
    for place, sampled in client.in_parallel(texts_of, missing):
        item = missing[place]
        unit = by_unit[item.unit]
        done.setdefault(item.unit, {})[unit.index(item)] = sampled
        if len(done[item.unit]) == len(unit):
            texts = done.pop(item.unit)
            in_order = [text for number in range(len(unit)) for text in texts[number]]
            _write(records, item.unit, in_order, top)
        finished += 1
        progress(finished, len(items), f"profile: {client.model}, texts from {client.replicas} server(s)")


def _next_turn(asked: AskedTurn, text: EngineText) -> AskedTurn | None:
    following = asked.after(text.answer or "")
    if following is not None and text.answer is None:
        raise EngineError(
            f"the engine gave no text of its answer to turn {asked.turn} of {asked.prompt.prompt_id!r}, "
            "expected one to go on with; give prompts of one turn"
        )
    return following


def _first_answer(
    client: EngineClient, prompts: tuple[Prompt, ...], settings: ProfileSettings, rendering: Rendering | None
) -> EngineText:
    """One short answer: who answers, and whether log-probabilities are of the law that is sampled."""
    if settings.sampling.top_k is not None or settings.sampling.top_p is not None:
        raise InvalidInput(
            "an engine states log-probabilities before top-k and top-p, so a cut law cannot be profiled "
            "there; "
            "leave both out"
        )
    prompt = rendered(client, AskedTurn(prompts[0], 0, 0), rendering)
    temperature = settings.sampling.temperature
    if temperature != 1.0:
        law = stated_law(client, prompt, temperature)
        if law.of is not Law.SAMPLED:
            raise EngineError(
                f"at temperature {temperature} this engine states log-probabilities {law.of}, expected "
                "those of "
                "the law it samples; profile at temperature 1, or start the server so that it gives "
                "processed "
                "ones (vLLM: --logprobs-mode processed_logprobs)"
            )
    return client.complete(CompletionRequest(prompt, 1, temperature))


def rendered(
    client: EngineClient, asked: AskedTurn, rendering: Rendering | None
) -> tuple[int, ...] | tuple[dict[str, str], ...]:
    """A turn of a prompt, with the conversation before it, as the engine takes it: token ids in its chat
    template, or the messages.

    Raises InvalidInput where nobody can turn it into token ids, EngineError where the engine's tokenizer and
    the one here (rendering) differ.
    """
    messages = asked.messages
    if not client.dialect.takes_token_ids:
        return tuple(messages)
    by_engine = client.dialect.chat_token_ids(messages, client.model, client.post)
    here = None if rendering is None else rendering(messages)
    chosen = by_engine if here is None else here
    if chosen is None:
        raise InvalidInput(
            f"{client.dialect.name} has no tokenizer for conversations; name the model's own (tokenizer), a "
            "folder or a hub id"
        )
    if by_engine is not None and here is not None and by_engine != here:
        raise EngineError(
            f"the engine turns the prompt {asked.prompt.prompt_id!r} into {len(by_engine)} token ids, the "
            "tokenizer "
            f"here into {len(here)} others; give the tokenizer and chat template that the server uses"
        )
    return tuple(chosen)


def _same_model(text: EngineText, first: EngineText) -> EngineText:
    if (text.model, text.fingerprint) != (first.model, first.fingerprint):
        raise EngineError(
            f"another model answered than at the start: {text.model} ({text.fingerprint}) after "
            f"{first.model} "
            f"({first.fingerprint}); measure one deployment at a time, into a folder of its own"
        )
    return text


def _items(prompts: tuple[Prompt, ...], settings: ProfileSettings) -> list[_Item]:
    """All first turns in families of prompts, `batch_size` to a unit; a unit never spans two families."""
    items: list[_Item] = []
    unit = -1
    for family in dict.fromkeys(prompt.family for prompt in prompts):
        members = [
            (index, prompt, sample)
            for index, prompt in enumerate(prompts)
            if prompt.family == family
            for sample in range(settings.samples)
        ]
        for place, (index, prompt, sample) in enumerate(members):
            unit += place % settings.batch_size == 0
            items.append(_Item(AskedTurn(prompt, index, sample), unit))
    return items


def _plan(
    client: EngineClient,
    prompts: tuple[Prompt, ...],
    settings: ProfileSettings,
    top: int,
    first: EngineText,
    units: int,
) -> dict[str, object]:
    return {
        "kind": "profile",
        "target": client.model,
        "engine": {"dialect": client.dialect.name, "model": first.model, "fingerprint": first.fingerprint},
        "top": top,
        "settings": asdict(settings),
        "prompts": [asdict(prompt) for prompt in prompts],
        "batches": units,
        **turns_plan(prompts),
    }


def _name(number: int, part: str) -> str:
    return f"batch-{number:04d}-{part}"


def _write(records: RecordFolder, unit: int, sampled: list[_Sampled], top: int) -> None:
    texts = [one.text for one in sampled]
    # An end of text that the engine does not state closes the text with a surprisal of 0: no bound on tokens
    # per call uses it, and mu comes out too small by it, which is the safe side.
    log_probs = [np.append(text.log_probs, [0.0] * text.end_is_unstated) for text in texts]
    lengths = [len(values) for values in log_probs]
    ids = [
        [*(text.token_ids or (None,) * len(text.tokens)), *[None] * text.end_is_unstated] for text in texts
    ]
    written = [
        [*(None if isinstance(t, int) else t for t in text.tokens), *[None] * text.end_is_unstated]
        for text in texts
    ]
    records.write(
        _name(unit, "texts"),
        pa.table(
            {
                "prompt_id": [one.asked.prompt.prompt_id for one in sampled],
                "family": [one.asked.prompt.family for one in sampled],
                "sample": pa.array([one.asked.sample for one in sampled], pa.int32()),
                **turn_column([one.asked.turn for one in sampled]),
                "prompt_token_ids": pa.array([one.prompt_token_ids for one in sampled], pa.list_(pa.int32())),
                "tokens": pa.array(lengths, pa.int32()),
                "ended": [text.ended for text in texts],
                "accepted": pa.array([_steps(text, "accepted") for text in texts], pa.list_(pa.int32())),
                "drafted": pa.array([_steps(text, "drafted") for text in texts], pa.list_(pa.int32())),
            }
        ),
    )
    if top:
        records.write(_name(unit, "top"), _top_table(texts))
    total = sum(lengths)
    records.write(
        _name(unit, "tokens"),  # last, because its presence says that the unit is finished
        pa.table(
            {
                "prompt_id": np.repeat([one.asked.prompt.prompt_id for one in sampled], lengths),
                "sample": pa.array(np.repeat([one.asked.sample for one in sampled], lengths), pa.int32()),
                **turn_column(np.repeat([one.asked.turn for one in sampled], lengths).tolist()),
                "position": pa.array(np.concatenate([np.arange(length) for length in lengths]), pa.int32()),
                "token_id": pa.array([token for own in ids for token in own], pa.int32()),
                "token_text": pa.array([token for own in written for token in own], pa.string()),
                "log_prob_nats": np.concatenate(log_probs),
                "entropy_nats": pa.nulls(total, pa.float64()),
                "second_log_moment_nats2": pa.nulls(total, pa.float64()),
            }
        ),
    )


def _steps(text: EngineText, name: str) -> list[int] | None:
    return None if text.steps is None else list(getattr(text.steps, name))


def _top_table(texts: list[EngineText]) -> pa.Table:
    return pa.table(
        {
            "token_ids": pa.array(
                [
                    [[one.token if isinstance(one.token, int) else None for one in row] for row in text.top]
                    for text in texts
                ],
                pa.list_(pa.list_(pa.int32())),
            ),
            "log_probs": pa.array(
                [[[one.log_prob for one in row] for row in text.top] for text in texts],
                pa.list_(pa.list_(pa.float64())),
            ),
        }
    )
