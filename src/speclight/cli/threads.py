"""How the threads of a command wait for each other; read by OpenMP when torch is first imported."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from types import MappingProxyType

# Threads that spin while they wait slow a pass down several times over as soon as anything else runs on the
# machine; threads that sleep at once must be woken at every operation. These spin for some tens of
# microseconds, longer than the time between two operations of a pass, and sleep after that
# (benchmarks/bench_wait_policy.py).
SPIN = MappingProxyType({"GOMP_SPINCOUNT": "10000"})
# Beside any other work threads that sleep at once were the fastest (the same benchmark).
SLEEP = MappingProxyType({"OMP_WAIT_POLICY": "PASSIVE"})
# What a user may have set, and is then left alone.
DECIDED_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

LOAD = Path("/proc/loadavg")
SAMPLES, APART = 25, 0.003  # seconds: what runs for a moment is not seen by the median


def set_waiting() -> None:
    """Set the way of waiting by what else runs now, unless the environment sets it already.

    Without effect once torch is imported, so it stays for the whole command, whatever the load does.
    """
    if not any(name in os.environ for name in DECIDED_BY_USER):
        os.environ.update(waiting_beside(others_running()))


def waiting_beside(others: int) -> MappingProxyType[str, str]:
    """The environment for threads beside `others` running threads of other processes."""
    return SLEEP if others else SPIN


def others_running() -> int:
    """Threads of other processes that run or want to, on the whole machine; 0 where nothing tells."""
    seen: list[int] = []
    for _ in range(SAMPLES):
        try:
            runnable, _, _ = LOAD.read_text(encoding="ascii").split()[3].partition("/")
        except OSError:
            return 0
        seen.append(int(runnable) - 1)  # without this one, which reads it
        time.sleep(APART)
    return max(0, statistics.median_low(seen))
