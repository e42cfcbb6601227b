"""Folders of records: written whole or not at all, resumable, refused if damaged or of another plan."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from speclight.errors import StorageError
from speclight.measure.checksums import SUMS_NAME, digest, read_sums, sums_text
from speclight.measure.plan import PLAN_NAME, parse_plan, plan_differences, plan_text
from speclight.writing import PARTIAL_PREFIX, could_not_write, write_whole

LOCK_NAME = ".lock"


def write_recorded(folder: Path, name: str, content: bytes) -> None:
    """Write one file of a folder of records and note its checksum. Raises StorageError as `write_whole`.

    The checksum comes first: a run killed in between leaves the checksum of a file that it writes next time.
    """
    write_whole(folder / SUMS_NAME, sums_text({**read_sums(folder), name: digest(content)}))
    write_whole(folder / name, content)


def read_recorded(folder: Path, name: str) -> bytes:
    """The content of one file. Raises StorageError if it is missing or not what was written."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise StorageError(
            f"could not read {name} in {folder.name} ({error.strerror}); the run was not finished: repeat "
            "the command that made it, which goes on with what is missing"
        ) from error
    if read_sums(folder).get(name, digest(content)) != digest(content):
        raise StorageError(
            f"{name} in {folder.name} is damaged (its SHA-256 is not the one noted); {_REMEDY}"
        )
    return content


_REMEDY = "delete this file and repeat the command that made it, which keeps all others"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """While it lasts, no other run may write into the folder; the lock of a killed run is gone with it.

    Raises StorageError if another run is at work there, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_NAME, blocking=False)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"another run is writing into {folder.name}; wait until it ends, or choose another folder"
        ) from error
    except (
        PermissionError
    ):  # a finished record on a read-only disk is only read; writing would fail by itself
        yield
        return
    except OSError as error:
        raise could_not_write(f"into {folder.name}", error) from error
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove what a run that was killed while writing a file left of it."""
    for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
        leftover.unlink()


class RecordFolder:
    """A folder of records that one plan produces unit by unit.

    Opening it writes the plan, or checks that the plan already there is the same one. Units are Parquet files
    with page checksums; a unit that exists is finished, so a run that was killed goes on with the first one
    missing. A damaged plan.json is written anew where SHA256SUMS tells that it was this plan.
    Raises StorageError if the folder holds the records of another plan or cannot be written.
    """

    def __init__(self, folder: Path, plan: Mapping[str, object]) -> None:
        self.folder = folder
        content = plan_text(plan)
        if _plan_is_due(folder, plan, digest(content)):
            write_recorded(folder, PLAN_NAME, content)
        remove_leftovers(folder)

    def has(self, name: str) -> bool:
        """Whether the unit is finished."""
        return (self.folder / f"{name}.parquet").exists()

    def lacks(self, name: str) -> bool:
        """Whether the unit was finished once and is gone: damaged, and deleted to be made again."""
        return not self.has(name) and is_recorded(self.folder, name)

    def write(self, name: str, table: pa.Table) -> None:
        """Write one unit. Equal tables give equal bytes."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        write_recorded(self.folder, f"{name}.parquet", buffer.getvalue().to_pybytes())


@contextmanager
def recording(folder: Path, plan: Mapping[str, object]) -> Iterator[RecordFolder]:
    """The record folder of a plan, written by this run alone. Errors as RecordFolder and `sole_writer`."""
    with sole_writer(folder):
        yield RecordFolder(folder, plan)


def is_recorded(folder: Path, name: str) -> bool:
    """Whether the unit is there, or was and should be."""
    file = f"{name}.parquet"
    return (folder / file).exists() or file in read_sums(folder)


def read_table(folder: Path, name: str) -> pa.Table:
    """One unit of a record folder. Raises StorageError if it is missing or damaged."""
    content = read_recorded(folder, f"{name}.parquet")
    try:
        return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StorageError(f"{name}.parquet in {folder.name} is damaged ({error}); {_REMEDY}") from error


def write_arrays(folder: Path, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write one unit of plain arrays, an .npz file. Raises StorageError as `write_whole`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_recorded(folder, f"{name}.npz", buffer.getvalue())


def read_arrays(folder: Path, name: str, arrays: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The named arrays of a unit. Raises StorageError if it is missing or damaged."""
    content = read_recorded(folder, f"{name}.npz")
    try:
        with np.load(io.BytesIO(content)) as stored:
            return {array: stored[array] for array in arrays}
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise StorageError(f"{name}.npz in {folder.name} is damaged ({error}); {_REMEDY}") from error


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of a record folder. Raises StorageError if there is none or it is damaged."""
    if not (folder / PLAN_NAME).is_file():
        raise StorageError(
            f"{folder} holds no {PLAN_NAME}, expected a folder of records; make one with `speclight profile`"
        )
    try:
        return parse_plan(read_recorded(folder, PLAN_NAME))
    except StorageError as error:
        raise StorageError(
            f"{PLAN_NAME} in {folder.name} is damaged; repeat the command that made the records, which "
            "writes the plan anew and keeps them"
        ) from error


@contextmanager
def reading(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The plan of a folder that holds records of that kind, while they are read.

    Raises StorageError if they are of another kind, damaged, or not in the form that this version reads.
    """
    plan = read_plan(folder)
    if plan["kind"] != kind:
        raise StorageError(f"{folder.name} holds records of the kind {plan['kind']!r}, expected {kind!r}")
    try:
        yield plan
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"the records in {folder.name} are not in the form that this version reads ({error!r}); measure "
            "again, or read them with the version that made them"
        ) from error


def _plan_is_due(folder: Path, plan: Mapping[str, object], wanted: str) -> bool:
    """Whether plan.json must be written. wanted: its digest. Raises StorageError for another plan."""
    noted = read_sums(folder).get(PLAN_NAME)
    try:
        content = read_recorded(folder, PLAN_NAME) if (folder / PLAN_NAME).exists() else None
        differences = [] if content is None else plan_differences(parse_plan(content), plan)
    except StorageError as error:
        if noted == wanted:
            return True
        raise StorageError(
            f"{PLAN_NAME} in {folder.name} is damaged, and nothing shows that its records are those asked "
            "for; repeat the very command that made them, or choose another folder"
        ) from error
    if content is None and noted not in (None, wanted):
        raise StorageError(
            f"{folder.name} holds the records of another plan, whose {PLAN_NAME} is gone; repeat the very "
            "command that made them, or choose another folder"
        )
    if differences:
        raise StorageError(
            f"{folder.name} holds the records of another plan ({'; '.join(differences)}); choose another "
            "folder, or repeat the command that made it"
        )
    return content is None
