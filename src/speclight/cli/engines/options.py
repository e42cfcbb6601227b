"""Options of the commands that speak to an inference server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.engines.client import EngineClient, EngineSettings

Rendering = Callable[[list[dict[str, str]]], list[int]]
NEEDED = ("httpx2", "tenacity", "prometheus_client", "yaml")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Which server, and how it is reached; its key comes from the variable SPECLIGHT_API_KEY alone."""

    engine: str | None = None
    """Address of an inference server, or of several replicas of one, separated by commas."""
    model: str | None = None
    """The model as the server calls it; its only one if not given."""
    dialect: Literal["auto", "vllm", "sglang", "llamacpp", "openai"] = "auto"
    """The engine's way of asking and answering; auto asks the server."""
    concurrency: int = 8
    """Requests in flight, over all replicas."""
    tokenizer: str | None = None
    """Folder or hub id of the model's tokenizer, for engines that cannot turn a conversation into token
    ids.
    """


def check_installed() -> None:
    """Raise InvalidInput unless the packages of the extra `engines` are there."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InvalidInput(
            f"commands that read engines need {', '.join(missing)}; install them with "
            "`pip install 'speclight[engines]'`"
        )


def check_server(options: EngineOptions) -> None:
    """Raise InvalidInput for addresses and numbers that cannot be, where a server is asked for."""
    if options.engine is not None:
        _settings(options)


def engine_client(options: EngineOptions) -> EngineClient:
    """The client for the replicas named. Raises InvalidInput for bad options, EngineError if nothing
    answers.
    """
    settings = _settings(options)
    from speclight.engines.client import EngineClient

    return EngineClient(settings)


def _settings(options: EngineOptions) -> EngineSettings:
    check_installed()
    from speclight.engines.client import EngineSettings

    urls = tuple(url.strip().rstrip("/") for url in (options.engine or "").split(",") if url.strip())
    return EngineSettings(urls, options.model, options.dialect, concurrency=options.concurrency)


def rendering(options: EngineOptions) -> Rendering | None:
    """The chat template of the tokenizer named, or None. Raises InvalidInput if it cannot be loaded."""
    if options.tokenizer is None:
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"no tokenizer could be loaded from {options.tokenizer!r} ({error}); give its folder or hub id"
        ) from error
    if tokenizer.chat_template is None:
        raise InvalidInput(
            f"the tokenizer {options.tokenizer!r} has no chat template; give an instruct model's"
        )

    def render(messages: list[dict[str, str]]) -> list[int]:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return tokenizer.encode(str(text), add_special_tokens=False)

    return render
