"""Reading fields of an engine's answer, with errors that say what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from speclight.arrays import FloatArray
from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken, Token
from speclight.errors import EngineError

TOKEN_ID_PREFIX = "token_id:"


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

    Raises EngineError where they are missing, positive, not finite, fewer than asked for, or exactly 0 beside
    no likeliest tokens, which is what llama.cpp writes for tokens that came out of a draft.
    """
    if len(text.log_probs) != len(text.tokens) or not text.tokens:
        raise EngineError(
            f"the engine gave {len(text.log_probs)} log-probabilities for {len(text.tokens)} tokens, "
            "expected "
            "one each; a proxy or a version of the server that drops them cannot be used"
        )
    if not np.isfinite(text.log_probs).all() or (text.log_probs > 1e-4).any():
        raise EngineError(
            "the engine gave log-probabilities that are positive or not finite, expected natural "
            "logarithms of "
            "probabilities; check the dialect"
        )
    if request.top and any(
        log_prob == 0.0 and not top for log_prob, top in zip(text.log_probs, text.top, strict=True)
    ):
        raise EngineError(
            "the engine gave log-probabilities of exactly 0 without likeliest tokens, as llama.cpp does for "
            "tokens out of a draft; start the server without speculative decoding to measure its target"
        )
    short = [len(top) for top in text.top if len(top) < request.top]
    if short:
        raise EngineError(
            f"asked the engine for the {request.top} likeliest tokens, got {min(short)}; raise its cap "
            "(vLLM: "
            "--max-logprobs) or ask for fewer"
        )
    return text


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
