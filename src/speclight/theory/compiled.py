"""Loops over tokens and nodes, compiled when they are first called."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Any) -> Callable[..., None]:
    """The function compiled by numba: once for each process, or once and for all in numba's NUMBA_CACHE_DIR.

    numba is imported here alone, since that takes half a second; it writes nothing into the package. What is
    kept in a folder of the user's choice follows changes of the function's own file, not of what it calls.
    """
    import numba

    compile_function: Any = numba.njit(cache="NUMBA_CACHE_DIR" in os.environ, nogil=True)
    return compile_function(function)
