"""How the threads of a command wait for each other; read by OpenMP when torch is first imported."""

from __future__ import annotations

import os
from types import MappingProxyType

# Threads that spin while they wait slow a pass down several times over as soon as anything else runs on the
# machine; threads that sleep at once must be woken at every operation. These spin for some ten microseconds,
# the time between two operations of a pass, and sleep after that (benchmarks/bench_wait_policy.py).
WAITING = MappingProxyType({"GOMP_SPINCOUNT": "3000"})
# What a user may have set, and is then left alone.
DECIDED_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def set_waiting() -> None:
    """Set the way of waiting, unless the environment does already. Without effect once torch is imported."""
    if not any(name in os.environ for name in DECIDED_BY_USER):
        os.environ.update(WAITING)
