"""Folders of records: written whole or not at all, resumable, refused if they belong to another plan."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from speclight.errors import StorageError

PLAN_NAME = "plan.json"
# Prefix of files being written; what a killed run leaves under it is removed by the next one.
PARTIAL_PREFIX = ".partial-"


def write_whole(path: Path, content: bytes) -> Path:
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
        raise StorageError(
            f"could not write {path.name} ({error.strerror}); {len(content)} bytes are needed: "
            "free some space or choose another folder"
        ) from error
    return path


class RecordFolder:
    """A folder of Parquet records that one plan produces unit by unit.

    Opening it writes the plan, or checks that the plan already there is the same one. Units are files; a unit
    that exists is finished, so a run that was killed goes on with the first one missing.
    Raises StorageError if the folder holds the records of another plan or cannot be written.
    """

    def __init__(self, folder: Path, plan: Mapping[str, object]) -> None:
        self.folder = folder
        content = (json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        path = folder / PLAN_NAME
        if path.exists():
            differing = _differing_keys(path, plan)
            if differing:
                raise StorageError(
                    f"{folder.name} holds the records of another plan (different: {', '.join(differing)}); "
                    "choose another folder, delete this one, or repeat the command that made it"
                )
        else:
            write_whole(path, content)
        for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
            leftover.unlink()

    def has(self, name: str) -> bool:
        """Whether the unit is finished."""
        return (self.folder / f"{name}.parquet").exists()

    def write(self, name: str, table: pa.Table) -> None:
        """Write one unit. Equal tables give equal bytes."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        write_whole(self.folder / f"{name}.parquet", buffer.getvalue().to_pybytes())


def read_table(folder: Path, name: str) -> pa.Table:
    """One unit of a record folder. Raises StorageError if it is missing or damaged."""
    path = folder / f"{name}.parquet"
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise StorageError(
            f"could not read {path.name} in {folder.name}: {error}; the run was not finished or the file is "
            "damaged: delete it and repeat the command that made it"
        ) from error


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of a record folder. Raises StorageError if there is none."""
    path = folder / PLAN_NAME
    if not path.is_file():
        raise StorageError(
            f"{folder} holds no {PLAN_NAME}, expected a folder of records; make one with `speclight profile`"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StorageError(f"{PLAN_NAME} in {folder.name} is damaged ({error}); delete the folder") from error


def _differing_keys(path: Path, plan: Mapping[str, object]) -> list[str]:
    present = read_plan(path.parent)
    wanted = json.loads(json.dumps(plan))
    return sorted(key for key in {*present, *wanted} if present.get(key) != wanted.get(key))
