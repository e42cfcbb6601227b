"""A llama.cpp server on this machine, for tests: the engine itself, not an imitation."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

# An extension module without stubs.
xllamacpp: Any = importlib.import_module("xllamacpp")


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def llama_cpp_server(model: Path, speculates: bool = False) -> Iterator[str]:
    """The address of a server of this GGUF, in float32 throughout; it ends with the block."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.port = 1024, 2, free_port()
    params.warmup, params.endpoint_metrics, params.verbosity = False, True, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if speculates:
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    server = xllamacpp.Server(params)
    try:
        yield server.listening_address
    finally:
        del server
