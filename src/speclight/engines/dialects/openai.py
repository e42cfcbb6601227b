"""The OpenAI interface: chat completions for hosted models, and both shapes of log-probabilities in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken, SpeculationSteps, Token
from speclight.engines.dialects.answers import (
    checked_text,
    likeliest_first,
    number,
    optional_int,
    required,
    token_named,
)
from speclight.engines.dialects.dialect import HttpRequest, Json, Posting
from speclight.errors import EngineError

ENDED = "stop"


class OpenAI:
    """Any server of the OpenAI chat interface: tokens are texts, and no token ids go in."""

    name = "openai"
    takes_token_ids = False

    def completion(self, request: CompletionRequest, model: str) -> HttpRequest:
        """POST /v1/chat/completions with log-probabilities."""
        body: dict[str, Any] = {
            "model": model,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "logprobs": True,
            "top_logprobs": request.top,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        return HttpRequest("/v1/chat/completions", body)

    def read(self, answer: Json, request: CompletionRequest, post: Posting) -> EngineText:
        """The first choice. An end of text has no log-probability here (`end_is_unstated`)."""
        del post
        return checked_text(read_choice(answer, request.top, end_is_stated=False), request)

    def chat_token_ids(self, messages: list[dict[str, str]], model: str, post: Posting) -> list[int] | None:
        """None: the interface has no tokenizer."""
        del messages, model, post
        return None


def read_choice(answer: Json, top: int | None, *, end_is_stated: bool, place: int = 0) -> EngineText:
    """One choice of a completion in either shape, `logprobs.content` or `logprobs.tokens`.

    top: how many likeliest tokens were asked for; None keeps all that are there. end_is_stated: whether the
    server lists the end-of-text token among the tokens of a text that ended.
    """
    choice = required(answer, "choices", place)
    stated = required(choice, "logprobs")
    if isinstance(stated, Mapping) and "content" in stated:
        tokens, log_probs, tops = _from_content(stated["content"])
    elif isinstance(stated, Mapping) and "tokens" in stated:
        tokens, log_probs, tops = _from_lists(stated)
    else:
        raise EngineError(
            "the engine's answer holds no log-probabilities, expected them in choices[].logprobs; ask for "
            "them "
            "(logprobs) and check that the server may give them"
        )
    ids = choice.get("token_ids")
    if isinstance(ids, list) and len(ids) == len(tokens):
        tokens = tuple(ids)
    ended = choice.get("finish_reason") == ENDED
    count = max(map(len, tops), default=0) if top is None else top
    return EngineText(
        tokens,
        np.array(log_probs, dtype=np.float64),
        tuple(likeliest_first(entries, count) for entries in tops),
        ended,
        end_is_unstated=ended and not end_is_stated,
        prompt_tokens=optional_int(answer, "usage", "prompt_tokens"),
        model=answer.get("model"),
        fingerprint=answer.get("system_fingerprint"),
        steps=_steps(answer),
        answer=choice.get("text", (choice.get("message") or {}).get("content")),
    )


_Columns = tuple[tuple[Token, ...], list[float], list[list[LikelyToken]]]


def _from_content(content: Any) -> _Columns:
    if not isinstance(content, list):
        raise EngineError("choices[].logprobs.content is no list; ask the server for log-probabilities")
    tokens: list[Token] = []
    log_probs: list[float] = []
    tops: list[list[LikelyToken]] = []
    for entry in content:
        tokens.append(_token(entry))
        log_probs.append(number(required(entry, "logprob"), "log-probability"))
        tops.append(
            [
                LikelyToken(_token(other), number(required(other, "logprob"), "log-probability"))
                for other in entry.get("top_logprobs") or ()
            ]
        )
    return tuple(tokens), log_probs, tops


def _token(entry: Any) -> Token:
    found = entry.get("id") if isinstance(entry, Mapping) else None
    return found if isinstance(found, int) else token_named(str(required(entry, "token")))


def _from_lists(stated: Mapping[str, Any]) -> _Columns:
    tokens = tuple(token_named(str(text)) for text in required(stated, "tokens"))
    values = list(required(stated, "token_logprobs"))
    given: list[dict[str, Any] | None] = list(stated.get("top_logprobs") or [None] * len(tokens))
    # An echoed prompt has no law before its first token.
    first = 1 if values and values[0] is None else 0
    log_probs = [number(value, "log-probability") for value in values[first:]]
    tops = [
        [LikelyToken(token_named(name), number(value, "log-probability")) for name, value in entry.items()]
        if entry
        else []
        for entry in given[first:]
    ]
    return tokens[first:], log_probs, tops


def _steps(answer: Json) -> SpeculationSteps | None:
    metrics = (answer.get("metrics") or {}).get("speculative_decoding") or {}
    accepted, drafted = metrics.get("per_step_accepted"), metrics.get("per_step_drafted")
    return SpeculationSteps(tuple(accepted), tuple(drafted)) if accepted and drafted else None
