"""Where loops compiled by numba are kept: compiled for this machine once, not in every process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from speclight.models.cache_folder import cache_folder

KERNELS_FOLDER = "kernels"


@contextmanager
def kept_kernels() -> Iterator[None]:
    """What numba is told to keep inside the block goes below the cache folder, not into the package."""
    from numba.core import config

    settings: Any = config  # filled from the environment when it is imported
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(cache_folder().parent / KERNELS_FOLDER)
    try:
        yield
    finally:
        settings.CACHE_DIR = before
