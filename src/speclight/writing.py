"""Files that are written whole or not at all, and what is said where something cannot be written."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from speclight.errors import StorageError

# Prefix of files being written; what a killed run leaves under it is removed by the next one.
PARTIAL_PREFIX = ".partial-"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, content: bytes | memoryview) -> Path:
    """Write content beside path and rename it into place, so an interrupted run leaves the old file or none.

    Missing folders are made. Raises StorageError if the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=PARTIAL_PREFIX, delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)  # a temporary file is private; a record is for sharing
                Path(file.name).replace(path)
            finally:
                with suppress(FileNotFoundError):  # renamed away: the normal end
                    Path(file.name).unlink()
    except OSError as error:
        raise could_not_write(f"the {len(content)} bytes of {path.name}", error) from error
    return path


def could_not_write(what: str, error: Exception, elsewhere: str = "choose another folder") -> StorageError:
    """The error for something that was not written: out of space, or whatever else the system says.

    error: of the system, or of a library in Rust, whose messages end in the system's number. elsewhere: what
    helps besides space.
    """
    number = getattr(error, "errno", None)
    if number is None and (stated := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(stated[1])
    reason = os.strerror(number) if isinstance(number, int) else str(error).partition("\n")[0]
    remedy = f"free some space or {elsewhere}" if number in NO_SPACE else elsewhere
    return StorageError(f"could not write {what} ({reason}); {remedy}")
