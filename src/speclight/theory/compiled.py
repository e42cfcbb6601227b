"""Loops over tokens and nodes, compiled when they are first called."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Any) -> Callable[..., None]:
    """The function compiled by numba, once for each process.

    numba is imported here alone, since that takes half a second; it writes nothing into the package.
    """
    import numba

    compile_function: Any = numba.njit(cache=False, nogil=True)
    return compile_function(function)
