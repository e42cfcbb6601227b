"""Other processes that keep a core each busy while something is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Reads and writes more than a cache holds, as real work does, and never waits.
WORK = "a = bytearray(8 << 20)\nwhile True: a = a[1:] + a[:1]"


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """`count` of them inside the block."""
    processes = [subprocess.Popen([sys.executable, "-c", WORK]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
