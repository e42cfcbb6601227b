"""What speclight needs to know of an engine: how to ask for a text, and what its log-probabilities mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from speclight.engines.completion import CompletionRequest, EngineText

Json = Mapping[str, Any]

# Fields of vLLM and SGLang that leave the model's law as it is, whatever the server's defaults say.
WHOLE_LAW: Mapping[str, float | int] = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST. path: below the server's address. body: sent as JSON."""

    path: str
    body: dict[str, Any]


class Posting(Protocol):
    """Sends one POST and returns its answer; given to dialects that need several for one thing."""

    def __call__(self, request: HttpRequest) -> Json:
        """The JSON answer."""
        ...


class Dialect(Protocol):
    """One engine's way of asking and answering."""

    @property
    def name(self) -> str:
        """As in `--dialect`."""
        ...

    @property
    def takes_token_ids(self) -> bool:
        """Whether a prompt may be token ids; otherwise it is a conversation."""
        ...

    def completion(self, request: CompletionRequest, model: str) -> HttpRequest:
        """The POST that asks for one text."""
        ...

    def read(self, answer: Json, request: CompletionRequest, post: Posting) -> EngineText:
        """The text in an answer. Raises EngineError if the answer lacks what was asked for.

        post: for what the engine must be asked once more.
        """
        ...

    def chat_token_ids(self, messages: list[dict[str, str]], model: str, post: Posting) -> list[int] | None:
        """A conversation in the engine's chat template as token ids; None if the engine cannot tell."""
        ...
