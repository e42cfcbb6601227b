"""SGLang: token ids in and out over /generate; output log-probabilities after temperature, before top-p."""

from __future__ import annotations

from typing import Any

import numpy as np

from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken
from speclight.engines.dialects.answers import checked_text, likeliest_first, number, optional_int, required
from speclight.engines.dialects.dialect import WHOLE_LAW, HttpRequest, Json, Posting


class SGLang:
    """An SGLang server. It has no tokenizer for conversations: render them with the model's own."""

    name = "sglang"
    takes_token_ids = True

    def completion(self, request: CompletionRequest, model: str) -> HttpRequest:
        """POST /generate with log-probabilities of the generated tokens."""
        del model  # one server, one model
        sampling: dict[str, Any] = {
            "max_new_tokens": request.max_tokens,
            "temperature": request.temperature,
            **WHOLE_LAW,
        }
        if request.seed is not None:
            sampling["sampling_seed"] = request.seed
        body = {
            "input_ids": list(request.token_ids or ()),
            "sampling_params": sampling,
            "return_logprob": True,
            "top_logprobs_num": request.top,
            "logprob_start_len": -1,
        }
        return HttpRequest("/generate", body)

    def read(self, answer: Json, request: CompletionRequest, post: Posting) -> EngineText:
        """The text of an answer of /generate."""
        del post
        about = required(answer, "meta_info")
        sampled = required(about, "output_token_logprobs")
        tops = about.get("output_top_logprobs") or [()] * len(sampled)
        text = EngineText(
            tuple(required(entry, 1) for entry in sampled),
            np.array([number(required(entry, 0), "log-probability") for entry in sampled]),
            tuple(
                likeliest_first(
                    [
                        LikelyToken(required(item, 1), number(required(item, 0), "log-probability"))
                        for item in entry or ()
                    ],
                    request.top,
                )
                for entry in tops
            ),
            ended=(about.get("finish_reason") or {}).get("type") == "stop",
            prompt_tokens=optional_int(about, "prompt_tokens"),
            answer=answer.get("text"),
            fingerprint=about.get("weight_version"),
        )
        return checked_text(text, request)

    def chat_token_ids(self, messages: list[dict[str, str]], model: str, post: Posting) -> list[int] | None:
        """None: conversations are rendered with the model's own tokenizer."""
        del messages, model, post
        return None
