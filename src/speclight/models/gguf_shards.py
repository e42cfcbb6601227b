"""The files of a GGUF model, one or several shards, by their names; free of anything that reads tensors."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from speclight.errors import ModelNotFound
from speclight.models.cache_folder import file_sha256

# As llama.cpp names the parts of a split model; it finds the others by the name too.
SHARD_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def shard_name(stem: str, number: int, count: int) -> str:
    """The name of one shard; number: from 1."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def shard_paths(path: Path) -> tuple[Path, ...]:
    """The files of the model that a path belongs to, by its name alone: itself, or all shards in order.

    path: any of the shards. Raises ModelNotFound, naming it, if one of them does not lie beside it.
    """
    shard = SHARD_NAME.fullmatch(path.name)
    if shard is None:
        return (path,)
    count = int(shard[3])
    paths = tuple(path.with_name(shard_name(shard[1], number, count)) for number in range(1, count + 1))
    for other in paths:
        if not other.is_file():
            raise ModelNotFound(
                f"{path.name} is one of {count} shards and {other.name} does not lie beside it; expected all "
                "in one folder under their first names"
            )
    return paths


def gguf_sha256(path: Path) -> str:
    """SHA-256 of a GGUF in hex, of shards that of their hashes; path: any of them.

    It takes as long as reading the file. Raises ModelNotFound for a file that cannot be read.
    """
    try:
        digests = [file_sha256(each) for each in shard_paths(path)]
    except OSError as error:
        raise ModelNotFound(f"could not read {path}: {error}; expected a GGUF file") from error
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode("ascii")).hexdigest()
