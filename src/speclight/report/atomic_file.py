"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from speclight.errors import StorageError


def write_whole(path: Path, content: bytes) -> Path:
    """Write content beside path and rename it into place, so an interrupted run leaves the old file or none.

    Missing folders are made. Raises StorageError if the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)  # a temporary file is private; a report is for sharing
                Path(file.name).replace(path)
            finally:
                with suppress(FileNotFoundError):  # renamed away: the normal end
                    Path(file.name).unlink()
    except OSError as error:
        raise StorageError(
            f"could not write {path.name} ({error.strerror}); {len(content)} bytes are needed: "
            "free some space or choose another folder"
        ) from error
    return path
