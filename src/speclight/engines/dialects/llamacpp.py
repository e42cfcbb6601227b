"""llama.cpp's server: token ids in and out over /completion; log-probabilities at temperature 1 or
processed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken
from speclight.engines.dialects.answers import (
    checked_text,
    likeliest_first,
    logarithms,
    number,
    optional_int,
    required,
)
from speclight.engines.dialects.dialect import HttpRequest, Json, Posting
from speclight.errors import EngineError

# Other draws tried for a token of which nothing was stated.
DRAWS = 16
WHOLE_VOCABULARY = 10**6


class LlamaCpp:
    """A llama.cpp server. Its own defaults cut the law (top_k 40, top_p 0.95, min_p 0.05)."""

    name = "llamacpp"
    takes_token_ids = True

    def completion(self, request: CompletionRequest, model: str) -> HttpRequest:
        """POST /completion. Above temperature 0 and off 1 it asks for the probabilities after sampling."""
        body: dict[str, Any] = {
            "model": model,
            "prompt": list(request.token_ids or ()),
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            "typical_p": 1.0,
            "top_n_sigma": -1.0,
            "xtc_probability": 0.0,
            "repeat_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "dry_multiplier": 0.0,
            "mirostat": 0,
            "n_probs": max(1, request.top),
            "post_sampling_probs": request.temperature not in (0.0, 1.0),
            "return_tokens": True,
            "cache_prompt": True,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        return HttpRequest("/completion", body)

    def read(self, answer: Json, request: CompletionRequest, post: Posting) -> EngineText:
        """The text of an answer of /completion.

        The server states nothing of a token that is part of a character not yet whole; it is asked for those
        again, one by one, unless the request allows them to stay unstated.
        """
        tokens = [int(token) for token in required(answer, "tokens")]
        rows = _rows_of(tokens, list(answer.get("completion_probabilities") or ()))
        stated = [
            _stated(row)
            if row is not None
            else (np.nan, [])
            if request.unstated_allowed
            else self._asked_again(tokens[:place], token, request, post)
            for place, (token, row) in enumerate(zip(tokens, rows, strict=True))
        ]
        text = EngineText(
            tuple(tokens),
            np.array([log_prob for log_prob, _ in stated]),
            tuple(likeliest_first(likely, request.top) for _, likely in stated),
            ended=answer.get("stop_type") == "eos",
            prompt_tokens=optional_int(answer, "tokens_evaluated"),
            model=answer.get("model"),
            answer=answer.get("content"),
        )
        return checked_text(text, request)

    def _asked_again(
        self, before: list[int], token: int, request: CompletionRequest, post: Posting
    ) -> tuple[float, list[LikelyToken]]:
        """The law after some tokens, by other draws until one is a whole character, and the token's place in
        it.

        At a temperature where a single token is all but certain no other draw comes up.
        """
        prompt = (*(request.token_ids or ()), *before)
        temperature = request.temperature or 1.0  # the law stated for greedy text is the one at 1
        for seed in range(DRAWS):
            asked = CompletionRequest(prompt, 1, temperature, WHOLE_VOCABULARY, seed)
            rows = post(self.completion(asked, "")).get("completion_probabilities")
            if rows:
                _, likely = _stated(rows[0])
                found = [one.log_prob for one in likely if one.token == token]
                if found:
                    return found[0], likely
        raise EngineError(
            f"llama.cpp states no log-probability of token {token}, part of a character, in {DRAWS} draws; "
            "leave "
            "this prompt out, or serve the model with vLLM or SGLang"
        )

    def chat_token_ids(self, messages: list[dict[str, str]], model: str, post: Posting) -> list[int] | None:
        """From /apply-template and /tokenize; the template writes every special token itself."""
        del model
        prompt = required(post(HttpRequest("/apply-template", {"messages": messages})), "prompt")
        body = {"content": prompt, "add_special": False, "parse_special": True}
        return list(required(post(HttpRequest("/tokenize", body)), "tokens"))


def _rows_of(tokens: list[int], rows: list[Any]) -> list[Any]:
    """[tokens] the row of each, None for tokens without one; rows keep the tokens' order.

    Where rows could be laid along the tokens in two ways, the tokens concerned count as without a row.
    """
    ids = [required(row, "id") for row in rows]
    first, last = _first_places(tokens, ids), _first_places(tokens[::-1], ids[::-1])
    found: list[Any] = [None] * len(tokens)
    if first is None or last is None:
        raise EngineError(
            "the engine's log-probabilities are of other tokens than it returned; check its version"
        )
    for row, early, late in zip(rows, first, reversed(last), strict=True):
        if early == len(tokens) - 1 - late:
            found[early] = row
    return found


def _first_places(tokens: list[int], ids: list[int]) -> list[int] | None:
    """The earliest places at which `ids` stand among `tokens` in their order; None if they do not."""
    places: list[int] = []
    for token in ids:
        start = places[-1] + 1 if places else 0
        if token not in tokens[start:]:
            return None
        places.append(tokens.index(token, start))
    return places


def _stated(row: Any) -> tuple[float, list[LikelyToken]]:
    if "prob" in row:
        log_prob = float(logarithms([number(required(row, "prob"), "probability")])[0])
    else:
        log_prob = number(required(row, "logprob"), "log-probability")
    return log_prob, _likely(row)


def _likely(row: Mapping[str, Any]) -> list[LikelyToken]:
    if "top_probs" in row:
        found = [(item, number(required(item, "prob"), "probability")) for item in row["top_probs"]]
        return [
            LikelyToken(required(item, "id"), float(np.log(value))) for item, value in found if value > 0.0
        ]
    return [
        LikelyToken(required(item, "id"), number(required(item, "logprob"), "log-probability"))
        for item in row.get("top_logprobs") or ()
    ]
