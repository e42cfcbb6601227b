"""vLLM: token ids in and out over /v1/completions; log-probabilities before temperature unless processed."""

from __future__ import annotations

from typing import Any

from speclight.engines.completion import CompletionRequest, EngineText
from speclight.engines.dialects.answers import checked_text, required
from speclight.engines.dialects.dialect import WHOLE_LAW, HttpRequest, Json, Posting
from speclight.engines.dialects.openai import read_choice


class VLLM:
    """A vLLM server, or Ray Serve LLM in front of several."""

    name = "vllm"
    takes_token_ids = True

    def completion(self, request: CompletionRequest, model: str) -> HttpRequest:
        """POST /v1/completions. The server's generation_config would otherwise set sampling defaults."""
        body: dict[str, Any] = {
            "model": model,
            "prompt": list(request.token_ids or ()),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            **WHOLE_LAW,
            "logprobs": request.top,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,  # likeliest tokens that decode alike would be merged
        }
        if request.seed is not None:
            body["seed"] = request.seed
        return HttpRequest("/v1/completions", body)

    def read(self, answer: Json, request: CompletionRequest, post: Posting) -> EngineText:
        """The first choice; the end-of-text token is among its tokens."""
        del post
        return checked_text(read_choice(answer, request.top, end_is_stated=True), request)

    def chat_token_ids(self, messages: list[dict[str, str]], model: str, post: Posting) -> list[int] | None:
        """From POST /tokenize, which applies the server's chat template."""
        body = {"model": model, "messages": messages, "add_generation_prompt": True}
        return list(required(post(HttpRequest("/tokenize", body)), "tokens"))
