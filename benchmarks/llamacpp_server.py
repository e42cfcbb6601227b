"""A llama.cpp server on this machine, for benchmarks and for tests: the engine itself, not an imitation.

By itself it serves the default target until it is interrupted:

    python benchmarks/llamacpp_server.py [--threads 1] [--speculates] [--float32]
"""

from __future__ import annotations

import argparse
import importlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize

from speclight.models.default_target import default_gguf


@contextmanager
def llama_cpp_server(
    model: Path,
    *,
    threads: int = 1,
    slots: int = 1,
    context_tokens: int = 4096,
    speculates: bool = False,
    match_tokens: int | None = None,
    float32: bool = False,
) -> Iterator[str]:
    """The address of a server of a GGUF on 127.0.0.1; it ends with the block.

    slots: texts decoded at once, which share context_tokens. speculates: by n-grams; match_tokens: how many
    must match, with drafts of 8 then; llama.cpp's own choice if None, 12 and 48, at which few texts are
    drafted. float32: attention and its cache too, as a reference computes. Raises ModuleNotFoundError without
    the wheel xllamacpp.
    """
    xllamacpp: Any = importlib.import_module("xllamacpp")  # an extension module without stubs
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.port = context_tokens, slots, _free_port()
    params.warmup, params.endpoint_metrics, params.verbosity = False, True, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    if float32:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if speculates:
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        if match_tokens is not None:
            params.speculative.ngram_simple.size_n, params.speculative.ngram_simple.size_m = match_tokens, 8
    server = xllamacpp.Server(params)
    try:
        yield server.listening_address
    finally:
        del server


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def float32_copy(model: Path, path: Path) -> Path:
    """The same model with every weight in float32, so that a server multiplies as a reference does.

    With quantised weights llama.cpp rounds activations to 8 bits too.
    """
    reader = GGUFReader(model)
    writer = GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, *of_items = field.types[:1] + field.types[-1:] * (len(field.types) > 1)
            writer.add_key_value(name, field.contents(), kind, sub_type=of_items[0] if of_items else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="A llama.cpp server of the default target.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speculates", action="store_true", help="draft by n-grams")
    parser.add_argument("--match-tokens", type=int, help="length of the n-grams (default: llama.cpp's)")
    parser.add_argument("--float32", action="store_true", help="weights, attention and cache in float32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = default_gguf()
        if options.float32:
            model = float32_copy(model, Path(folder) / "float32.gguf")
        with llama_cpp_server(
            model,
            threads=options.threads,
            slots=2,
            speculates=options.speculates,
            match_tokens=options.match_tokens,
            float32=options.float32,
        ) as address:
            print(address, flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
