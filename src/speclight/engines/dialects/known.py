"""The dialects by name, and which one a server speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from speclight.engines.dialects.dialect import Dialect
from speclight.engines.dialects.llamacpp import LlamaCpp
from speclight.engines.dialects.openai import OpenAI
from speclight.engines.dialects.sglang import SGLang
from speclight.engines.dialects.vllm import VLLM
from speclight.errors import InvalidInput

AUTO = "auto"
DIALECTS: dict[str, Dialect] = {
    "vllm": VLLM(),
    "sglang": SGLang(),
    "llamacpp": LlamaCpp(),
    "openai": OpenAI(),
}


def dialect_named(name: str) -> Dialect:
    """The dialect of that name. Raises InvalidInput, listing those there are, for an unknown one."""
    if name not in DIALECTS:
        raise InvalidInput(f"no dialect is called {name!r}; known: {AUTO}, {', '.join(DIALECTS)}")
    return DIALECTS[name]


def spoken_by(get: Callable[[str], Any | None]) -> Dialect:
    """The dialect of a server, told by the addresses that only one engine has.

    get: the JSON under a path, or None if the server has nothing there.
    """
    props = get("/props")
    if isinstance(props, dict) and "default_generation_settings" in props:
        return DIALECTS["llamacpp"]
    version = get("/version")
    if isinstance(version, dict) and "version" in version:
        return DIALECTS["vllm"]
    about = get("/get_model_info")
    if isinstance(about, dict) and "model_path" in about:
        return DIALECTS["sglang"]
    return DIALECTS["openai"]
