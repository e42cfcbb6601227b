"""Sampled texts with log-probabilities from files: answers of an engine as JSON lines, or a Parquet table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken
from speclight.engines.dialects.answers import number, required, token_named
from speclight.engines.dialects.dialect import HttpRequest
from speclight.engines.dialects.known import DIALECTS
from speclight.engines.dialects.openai import read_choice
from speclight.errors import EngineError, InvalidInput
from speclight.theory.laws.sampled_text import SampledText

# Answers on file were asked for elsewhere, with whatever number of likeliest tokens.
_ANY = CompletionRequest((0,), 1)
EXPECTED = (
    "completions as the engine answered, one JSON object a line; objects with tokens and log_probs; or a "
    "Parquet "
    "table with prompt_id, log_prob and optionally token_id and ended"
)


def read_texts(path: Path) -> list[tuple[str, tuple[int, ...], EngineText]]:
    """(prompt id, prompt token ids where they are known, text) of every text in a file.

    Raises InvalidInput, saying what was found, for any other content.
    """
    if path.suffix == ".parquet":
        return _from_parquet(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}; expected {EXPECTED}") from error
    found: list[tuple[str, tuple[int, ...], EngineText]] = []
    for number_, document in enumerate(_objects(content, path.name), start=1):
        try:
            found += [
                (str(document.get("prompt_id", f"{path.stem}-{number_}")), prompt, text)
                for prompt, text in _texts_of(document)
            ]
        except EngineError as error:
            raise InvalidInput(f"{path.name}, text {number_}: {error}") from error
    return found


def sampled_texts(path: Path, length_limit: int | None = None) -> list[SampledText]:
    """The same as limits take them: what `limits_from_log_probs` needs. length_limit: see `SampledText`."""
    return [
        SampledText(
            # As in an endpoint's profile: an end of text that is not stated closes the text at surprisal 0.
            np.append(-text.log_probs, [0.0] * text.end_is_unstated),
            text.ended,
            prompt_id,
            length_limit=length_limit,
        )
        for prompt_id, _, text in read_texts(path)
    ]


def _objects(content: str, name: str) -> list[Mapping[str, Any]]:
    try:
        whole = json.loads(content)
        found = whole if isinstance(whole, list) else [whole]
    except ValueError:
        try:
            found = [json.loads(line) for line in content.split("\n") if line.strip()]
        except ValueError as error:
            raise InvalidInput(
                f"{name} is neither JSON nor JSON lines ({error}); expected {EXPECTED}"
            ) from error
    if not found or not all(isinstance(item, dict) for item in found):
        raise InvalidInput(f"{name} holds no JSON objects; expected {EXPECTED}")
    return found


def _texts_of(document: Mapping[str, Any]) -> Iterator[tuple[tuple[int, ...], EngineText]]:
    if "choices" in document:
        for place in range(len(document["choices"])):
            prompt = document["choices"][place].get("prompt_token_ids") or ()
            yield tuple(prompt), read_choice(document, None, end_is_stated=True, place=place)
    elif "completion_probabilities" in document:
        yield (), DIALECTS["llamacpp"].read(document, _ANY, _nobody)
    elif "meta_info" in document:
        yield (), DIALECTS["sglang"].read(document, _ANY, _nobody)
    elif "tokens" in document:
        yield tuple(document.get("prompt") or ()), _plain(document)
    else:
        raise InvalidInput(
            f"got an object with the keys {', '.join(sorted(document)[:6])}; expected {EXPECTED}"
        )


def _nobody(request: HttpRequest) -> Mapping[str, Any]:
    """No server stands behind a file."""
    del request
    raise EngineError(
        "some tokens have no log-probability, as llama.cpp leaves out those of half a character"
    )


def _plain(document: Mapping[str, Any]) -> EngineText:
    values = document.get("log_probs", document.get("lp"))
    if not isinstance(values, list) or len(values) != len(document["tokens"]):
        raise InvalidInput("an object with tokens needs as many log_probs, nats of each sampled token")
    top = document.get("top") or [()] * len(values)
    return EngineText(
        tuple(token if isinstance(token, int) else token_named(str(token)) for token in document["tokens"]),
        np.array([number(value, "log-probability") for value in values]),
        tuple(
            tuple(LikelyToken(required(one, 0), number(required(one, 1), "log-probability")) for one in row)
            for row in top
        ),
        ended=bool(document.get("ended", False)),
    )


def _from_parquet(path: Path) -> list[tuple[str, tuple[int, ...], EngineText]]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"cannot read {path}: {error}; expected {EXPECTED}") from error
    name = next((one for one in ("log_prob", "log_prob_nats", "logprob") if one in table.column_names), None)
    if name is None or "prompt_id" not in table.column_names:
        raise InvalidInput(
            f"{path.name} has the columns {', '.join(table.column_names)}; expected {EXPECTED}"
        )
    columns = table.to_pydict()
    alike = [0] * len(table)
    keys = list(
        zip(columns["prompt_id"], columns.get("sample", alike), columns.get("turn", alike), strict=True)
    )
    found: list[tuple[str, tuple[int, ...], EngineText]] = []
    for key in dict.fromkeys(keys):
        rows = [place for place, own in enumerate(keys) if own == key]
        ids = columns.get("token_id")
        found.append(
            (
                str(key[0]),
                (),
                EngineText(
                    tuple(ids[row] if ids else "" for row in rows),
                    np.array([number(columns[name][row], "log-probability") for row in rows]),
                    ((),) * len(rows),
                    ended=bool(columns["ended"][rows[-1]]) if "ended" in columns else False,
                ),
            )
        )
    return found
