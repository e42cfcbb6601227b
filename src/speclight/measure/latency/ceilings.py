"""The machine's ceilings, measured: how fast it reads memory, and how fast it multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from speclight.measure.latency.calls import Clock
from speclight.models.causal_lm import CausalLM
from speclight.models.offload import drop_from_memory, offloaded_files

REPEATS = 5
# Far beyond the caches of processors; on an accelerator as well.
BUFFER_BYTES = 512 * 2**20
PIECE_BYTES = 8 * 2**20
CPU_MATRIX, ACCELERATOR_MATRIX = 2048, 8192


def memory_bytes_per_second(
    device: torch.device,
    dtype: torch.dtype,
    buffer_bytes: int = BUFFER_BYTES,
    clock: Clock = time.perf_counter,
) -> float:
    """The fastest of several readings of a large buffer, by a sum or by a product with a vector.

    The second is what a call of one node does to every weight matrix; which of the two is faster depends on
    the library. A ceiling is the best that was seen.
    """
    columns = 4096
    rows = max(1, buffer_bytes // (columns * dtype.itemsize))
    matrix = torch.ones(rows, columns, dtype=dtype, device=device)
    vector = torch.ones(columns, dtype=dtype, device=device)
    fastest = min(
        fastest_seconds(read, clock)
        for read in (lambda: matrix.sum().item(), lambda: (matrix @ vector)[0].item())
    )
    return matrix.numel() * matrix.element_size() / fastest


def flops_per_second(
    device: torch.device,
    dtype: torch.dtype,
    size: int | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """Operations a second of the fastest of several products of two square matrices, two for each weight."""
    if size is None:
        size = CPU_MATRIX if device.type == "cpu" else ACCELERATOR_MATRIX
    matrix = torch.full((size, size), 1.0 / size, dtype=dtype, device=device)
    return 2.0 * size**3 / fastest_seconds(lambda: (matrix @ matrix)[0, 0].item(), clock)


def stream_bytes_per_second(model: CausalLM, clock: Clock = time.perf_counter) -> float | None:
    """The fastest of several plain readings of what a target streams in; None for one that does not.

    Of files, read from beginning to end and not from the system's copy in memory; or of a large buffer of
    the host's memory, copied to the device.
    """
    if model.loaded.offload is None:
        return None
    if model.loaded.offload == "cpu":
        buffer = torch.ones(BUFFER_BYTES, dtype=torch.uint8)
        return BUFFER_BYTES / fastest_seconds(lambda: buffer.to(model.device)[0].item(), clock)
    files = offloaded_files(model.model)

    def read() -> None:
        drop_from_memory(files)
        for file in files:
            with file.open("rb", buffering=0) as opened:
                while opened.readinto(piece):
                    pass

    piece = bytearray(PIECE_BYTES)
    return sum(file.stat().st_size for file in files) / fastest_seconds(read, clock)


def fastest_seconds(work: Callable[[], object], clock: Clock) -> float:
    """The least time of several runs after one that is not counted. work: has finished when it returns."""
    work()
    taken: list[float] = []
    for _ in range(REPEATS):
        began = clock()
        work()
        taken.append(clock() - began)
    return min(taken)
