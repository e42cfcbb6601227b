"""Where a run's numbers come from: versions, machine class, seeds, hashes. No path, user or host name."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from speclight.measure.prompts import Prompt, prompts_sha256
from speclight.models.causal_lm import CausalLM

PACKAGES = ("torch", "transformers", "numpy", "scipy", "pyarrow", "tokenizers", "safetensors")
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report's numbers come from. No absolute path, no user name, no host name.

    kernels: how the target's passes were computed, see `use_kernels`; older records, which do not
    say, are eager.
    """

    speclight_version: str
    versions: dict[str, str]
    command: str
    seed: int
    machine: str
    threads: int
    prompts_sha256: str
    weights_sha256: str | None
    started: str
    seconds: float
    peak_memory_mib: float
    kernels: str = "eager"


@dataclass(frozen=True, slots=True)
class RunClock:
    """When a run started, for its provenance."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ticks: float = field(default_factory=time.perf_counter)


def provenance(
    model: CausalLM, prompts: tuple[Prompt, ...], command: Sequence[str], seed: int, clock: RunClock
) -> Provenance:
    """The provenance of a run that ends now. command: its words; paths among them are cut to their names."""
    return Provenance(
        speclight_version=metadata.version("speclight"),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        command=" ".join(["speclight", *(_relative(word) for word in command)]),
        seed=seed,
        machine=machine_class(),
        threads=torch.get_num_threads(),
        prompts_sha256=prompts_sha256(prompts),
        weights_sha256=model.loaded.weights_sha256,
        started=clock.started.isoformat(timespec="seconds"),
        seconds=time.perf_counter() - clock.ticks,
        peak_memory_mib=peak_memory_mib(),
        kernels=model.kernels,
    )


def machine_class() -> str:
    """Architecture, cores and memory: enough to compare timings, too little to identify a machine."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    accelerator = "no GPU" if not torch.cuda.is_available() else torch.cuda.get_device_name()
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{pages * size / 2**30:.0f} GiB, {accelerator}"
    )


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / KIB_PER_MIB if sys.platform != "darwin" else peak / KIB_PER_MIB**2  # macOS counts bytes


def _relative(word: str) -> str:
    return Path(word).name if Path(word).is_absolute() else word
