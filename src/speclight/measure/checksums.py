"""SHA256SUMS: the checksums of a folder of records, in the form that `sha256sum -c SHA256SUMS` reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from speclight.errors import StorageError

SUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/]+)")


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return sha256(content).hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> digest; empty for a folder without checksums, as earlier versions left them.

    Raises StorageError if the checksums cannot be read or are damaged themselves.
    """
    try:
        lines = (folder / SUMS_NAME).read_text(encoding="utf-8").splitlines()
        matches = [_LINE.fullmatch(line) for line in lines]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(_damaged(folder, str(error))) from error
    sums = {match[2]: match[1] for match in matches if match is not None}
    if len(sums) < len(lines):
        raise StorageError(_damaged(folder, "a line is no checksum, or a file is named twice"))
    return sums


def sums_text(sums: Mapping[str, str]) -> bytes:
    """The content of SHA256SUMS, in the order of the file names."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def _damaged(folder: Path, reason: str) -> str:
    return (
        f"{SUMS_NAME} in {folder.name} is damaged ({reason}); delete this file, and the records are read "
        "unchecked"
    )
