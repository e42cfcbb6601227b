"""torch's own OpenMP, for loops compiled here: a second set of threads would fight with it for the cores."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

MAPS = Path("/proc/self/maps")
# Of a parallel region: what its threads run, what they are given, how many there are, and flags.
_Region = Callable[[int, int, int, int], None]


def has_openmp() -> bool:
    """Whether torch's threads are those of a GNU OpenMP that can be found in this process."""
    return torch.backends.openmp.is_available() and _library() is not None


class ParallelLoop:
    """A compiled loop that all of torch's threads run at once. address: of what each of them calls."""

    def __init__(self, address: int) -> None:
        self._address, self._region = address, _parallel_region()

    def __call__(self, job: ctypes.Array[ctypes.c_void_p]) -> None:
        """Run it on what stands at these addresses; returns when every thread is done."""
        self._region(self._address, ctypes.addressof(job), torch.get_num_threads(), 0)


@contextmanager
def known_to_the_compiler() -> Iterator[None]:
    """Modules imported inside the block may compile calls of OpenMP's functions. Needs `has_openmp`."""
    from llvmlite import binding

    binding.load_library_permanently(str(_needed()))
    yield


@cache
def _parallel_region() -> _Region:
    parallel = ctypes.CDLL(str(_needed())).GOMP_parallel
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return parallel


def _needed() -> Path:
    library = _library()
    assert library is not None, "asked for where has_openmp says no"
    return library


@cache
def _library() -> Path | None:
    """The GNU OpenMP in use, of several the one that lies beside torch; None where there is none."""
    if not MAPS.exists():
        return None
    words = [line.split(maxsplit=5) for line in MAPS.read_text(encoding="utf-8").splitlines()]
    loaded = {Path(word[5]) for word in words if len(word) == 6 and "libgomp" in word[5]}
    beside = {path for path in loaded if Path(torch.__file__).parent in path.parents}
    found = beside or loaded
    return found.pop() if len(found) == 1 else None
