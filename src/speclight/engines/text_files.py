"""Sampled texts with log-probabilities from files: answers of an engine as JSON lines, or a Parquet table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken
from speclight.engines.dialects.answers import UNSTATED, number, required, token_named, with_unstated
from speclight.engines.dialects.dialect import HttpRequest
from speclight.engines.dialects.known import DIALECTS
from speclight.engines.dialects.openai import read_choice
from speclight.errors import EngineError, InvalidInput
from speclight.measure.profile import RECENT
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean
from speclight.theory.log_prob_limits import Limits, limits_of_texts

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
                (
                    str(document.get("prompt_id", f"{path.stem}-{number_}")),
                    prompt,
                    with_unstated(text) if any(text.top) else text,
                )
                for prompt, text in _texts_of(document)
            ]
        except EngineError as error:
            raise InvalidInput(f"{path.name}, text {number_}: {error}") from error
    return found


def limits_from_file(path: str | Path, node_budget: int, length_limit: int | None = None) -> Limits:
    """The limits at P from a file of sampled texts: `limits_from_log_probs` of what an engine has written.

    path: answers in the OpenAI format or an engine's own as JSON or JSON lines, objects with tokens and
    log_probs, or a Parquet table. length_limit: max_tokens under which the texts were made. Raises
    InvalidInput for any other content, and where a token has no log-probability.
    """
    return limits_of_texts(sampled_texts(Path(path), length_limit), node_budget)


def sampled_texts(path: Path, length_limit: int | None = None) -> list[SampledText]:
    """The same as limits take them. length_limit: max_tokens under which the texts were made.

    Raises InvalidInput too where a token has no log-probability.
    """
    found = read_texts(path)
    if any(np.isnan(text.log_probs).any() for _, _, text in found):
        raise InvalidInput(f"{path.name}: {UNSTATED}")
    # As in an endpoint's profile: an end of text that is not stated closes the text at surprisal 0.
    surprisals = [np.append(-text.log_probs, [0.0] * text.end_is_unstated) for _, _, text in found]
    return [
        SampledText(
            own,
            text.ended,
            prompt_id,
            recent_surprisal_mean(np.maximum(own, 0.0), RECENT),
            length_limit if text.ended else None,
        )
        for own, (prompt_id, _, text) in zip(surprisals, found, strict=True)
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
    if "error" in document:
        raise InvalidInput(
            f"the engine answered with an error: {str(document['error'])[:200]}; expected {EXPECTED}"
        )
    if "choices" in document:
        for place, choice in enumerate(document["choices"]):
            # vLLM and llama.cpp list the end-of-text token; others of the OpenAI interface do not.
            stated = "stop_reason" in choice or "timings" in document
            prompt = choice.get("prompt_token_ids") or ()
            yield tuple(prompt), read_choice(document, None, end_is_stated=stated, place=place)
    elif "completion_probabilities" in document:
        rows = document["completion_probabilities"]
        tops = [row.get("top_probs") or row.get("top_logprobs") for row in rows]
        yield (), DIALECTS["llamacpp"].read(document, _asked(tops), _nobody)
    elif "meta_info" in document:
        tops = document["meta_info"].get("output_top_logprobs") or ()
        yield (), DIALECTS["sglang"].read(document, _asked(tops), _nobody)
    elif "tokens" in document:
        yield tuple(document.get("prompt") or ()), _plain(document)
    else:
        raise InvalidInput(
            f"got an object with the keys {', '.join(sorted(document)[:6])}; expected {EXPECTED}"
        )


def _asked(tops: Sequence[Sequence[Any] | None]) -> CompletionRequest:
    """What an answer on file was asked with, as far as its likeliest tokens tell."""
    return CompletionRequest(
        (0,), 1, top=max((len(top or ()) for top in tops), default=0), unstated_allowed=True
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
