"""Reading fields of an engine's answer, with errors that say what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from speclight.arrays import FloatArray
from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken, Token
from speclight.errors import EngineError

TOKEN_ID_PREFIX = "token_id:"
UNSTATED = (
    "the engine gave log-probabilities of exactly 0 without likeliest tokens, as llama.cpp does for tokens "
    "out of a draft; start the server without speculative decoding to measure its target, or test its tokens "
    "against a reference model"
)


def required(answer: Any, *path: str | int) -> Any:
    """The value at a path of keys and indices. Raises EngineError naming the first one that is missing."""
    value = answer
    for depth, key in enumerate(path):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            where = ".".join(map(str, path[: depth + 1]))
            raise EngineError(
                f"the engine's answer has no {where!r}, expected a completion with log-probabilities; check "
                "the "
                "dialect and that the server gives log-probabilities"
            ) from error
    return value


def token_named(text: str) -> Token:
    """A token from the way it is written: an id behind vLLM's prefix, else the text itself."""
    if text.startswith(TOKEN_ID_PREFIX) and text[len(TOKEN_ID_PREFIX) :].isdecimal():
        return int(text[len(TOKEN_ID_PREFIX) :])
    return text


def likeliest_first(tokens: Sequence[LikelyToken], count: int) -> tuple[LikelyToken, ...]:
    """The `count` likeliest, likeliest first; engines add the sampled token behind them, which is cut off."""
    return tuple(sorted(tokens, key=lambda token: -token.log_prob)[:count])


def checked_text(text: EngineText, request: CompletionRequest) -> EngineText:
    """The text itself, if its log-probabilities can be those of a law.

    Raises EngineError where they are missing, positive, not finite or fewer than asked for; and, unless the
    request allows it, where a token has none (see `with_unstated`).
    """
    if len(text.log_probs) != len(text.tokens) or not text.tokens:
        raise EngineError(
            f"the engine gave {len(text.log_probs)} log-probabilities for {len(text.tokens)} tokens, "
            "expected "
            "one each; a proxy or a version of the server that drops them cannot be used"
        )
    text = with_unstated(text) if request.top else text
    unstated = np.isnan(text.log_probs)
    stated = text.log_probs[~unstated]
    if not np.isfinite(stated).all() or (stated > 1e-4).any():
        raise EngineError(
            "the engine gave log-probabilities that are positive or not finite, expected natural "
            "logarithms of "
            "probabilities; check the dialect"
        )
    if unstated.any() and not request.unstated_allowed:
        raise EngineError(UNSTATED)
    short = [
        len(top)
        for top, missing in zip(text.top, unstated, strict=True)
        if len(top) < request.top and not missing
    ]
    if short:
        raise EngineError(
            f"asked the engine for the {request.top} likeliest tokens, got {min(short)}; raise its cap "
            "(vLLM: "
            "--max-logprobs) or ask for fewer"
        )
    return text


def with_unstated(text: EngineText) -> EngineText:
    """A text whose likeliest tokens were asked for, log-probabilities of exactly 0 without any being NaN.

    That is what llama.cpp writes for every token of a verify step.
    """
    missing = [log_prob == 0.0 and not top for log_prob, top in zip(text.log_probs, text.top, strict=True)]
    return replace(text, log_probs=np.where(missing, np.nan, text.log_probs)) if any(missing) else text


def logarithms(probabilities: Sequence[float]) -> FloatArray:
    """[tokens] natural logarithms of probabilities that an engine gives as such."""
    values = np.asarray(probabilities, dtype=np.float64)
    if not (values > 0.0).all():
        raise EngineError(
            "the engine gave a sampled token the probability 0; its probabilities are not of the law it "
            "samples"
        )
    return np.log(values)


def number(value: Any, what: str) -> float:
    """A finite number. Raises EngineError otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise EngineError(f"the engine gave {value!r} as {what}, expected a finite number; check the dialect")
    return float(value)


def optional_int(answer: Mapping[str, Any], *path: str) -> int | None:
    """An integer deep in an answer, or None if any key is missing."""
    value: Any = answer
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
