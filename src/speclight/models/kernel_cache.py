"""Where loops compiled by numba are kept: compiled for this machine once, not in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from speclight.models.cache_folder import cache_folder

KERNELS_FOLDER = "kernels"
# What compiled loops are made of beside their own module, which is the only one that numba looks at.
PARTS = (
    "lane_code.py",
    "packed_dots.py",
    "compiled_rows.py",
    "parallel_shares.py",
    "attention_dots.py",
    "compiled_attention.py",
)


@cache
def digest_of_parts(folder: Path) -> str:
    """Tells versions of the parts in a folder of sources from each other."""
    content = b"".join((folder / part).read_bytes() for part in PARTS)
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def kept_kernels() -> Iterator[None]:
    """What numba is told to keep inside the block goes below the cache folder, not into the package.

    To a folder of its own for each version of what loops are made of.
    """
    from numba.core import config

    settings: Any = config  # filled from the environment when it is imported
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(cache_folder().parent / KERNELS_FOLDER / digest_of_parts(Path(__file__).parent))
    try:
        yield
    finally:
        settings.CACHE_DIR = before
