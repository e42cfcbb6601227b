"""The user's cache folder: converted models, each with a manifest of the hashes written at conversion.

Free of torch and Transformers, so that `speclight cache` answers at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from speclight.errors import CorruptWeights, StorageError

CACHE_VARIABLE = "SPECLIGHT_CACHE"
MANIFEST_NAME = "manifest.json"
MANIFEST_SCHEMA = 1
WEIGHTS_NAME = "model.safetensors"
# Only this sub-folder is ever listed or cleared: SPECLIGHT_CACHE may point at a folder holding other things.
MODELS_FOLDER = "converted-models"
PARTIAL_PREFIX = ".partial-"
# Part of a folder's name: raise it whenever the files that a conversion writes would change.
CONVERSION_VERSION = 2


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a converted model: name inside the folder, size in bytes, SHA-256 in hex."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a converted folder holds and what it was made from.

    model_name: the name shown in reports. source_sha256: of the GGUF. files: every other file of the folder.
    """

    model_name: str
    source_sha256: str
    files: tuple[FileRecord, ...]

    def record(self, name: str) -> FileRecord:
        """The record of one file; CorruptWeights if the manifest does not list it."""
        for record in self.files:
            if record.name == name:
                return record
        raise CorruptWeights(
            f"the manifest of {self.model_name} lists {[f.name for f in self.files]}, expected {name} among "
            "them; run `speclight cache clear`"
        )


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One folder of the cache. An interrupted conversion has no manifest: its hashes and name are None."""

    path: Path
    size_bytes: int
    model_name: str | None
    weights_sha256: str | None
    source_sha256: str | None


def cache_folder() -> Path:
    """The folder for converted models: $SPECLIGHT_CACHE, else the platform's user cache. Not created."""
    override = os.environ.get(CACHE_VARIABLE)
    root = Path(override).expanduser() if override else Path(platformdirs.user_cache_dir("speclight"))
    return root / MODELS_FOLDER


def cache_entries() -> tuple[CacheEntry, ...]:
    """Every converted model in the cache, by folder name, then what interrupted conversions left behind."""
    folder = cache_folder()
    if not folder.is_dir():
        return ()
    paths = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: (p.name[0] == ".", p.name))
    return tuple(_entry(path) for path in paths)


def conversion_folder(sha256: str) -> Path:
    """Where the conversion of a GGUF with this hash is, or would be."""
    return cache_folder() / f"{sha256}-v{CONVERSION_VERSION}"


def clear_cache() -> int:
    """Delete every converted model and interrupted conversion; returns the bytes freed.

    Raises StorageError if something cannot be deleted.
    """
    freed = 0
    for entry in cache_entries():
        try:
            shutil.rmtree(entry.path)
        except OSError as error:
            raise StorageError(
                f"could not delete {entry.path}: {error}; expected a folder that the user may delete; "
                "remove it by hand"
            ) from error
        freed += entry.size_bytes
    return freed


def write_manifest(folder: Path, model_name: str, source_sha256: str) -> Manifest:
    """Hash every file of a freshly converted folder and write manifest.json beside them."""
    files = tuple(
        FileRecord(path.name, path.stat().st_size, file_sha256(path))
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST_NAME
    )
    manifest = Manifest(model_name, source_sha256, files)
    document = {
        "schema": MANIFEST_SCHEMA,
        "model_name": manifest.model_name,
        "source_sha256": manifest.source_sha256,
        "files": {f.name: {"size_bytes": f.size_bytes, "sha256": f.sha256} for f in manifest.files},
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.json; CorruptWeights if it is missing or not of the schema this version writes."""
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != MANIFEST_SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        files = tuple(
            FileRecord(str(name), int(record["size_bytes"]), str(record["sha256"]))
            for name, record in document["files"].items()
        )
        return Manifest(str(document["model_name"]), str(document["source_sha256"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptWeights(
            f"got an unreadable {MANIFEST_NAME} in {folder} ({error!r}), expected schema {MANIFEST_SCHEMA}; "
            "run `speclight cache clear`, the next load converts again"
        ) from error


def check_file(folder: Path, record: FileRecord) -> None:
    """Compare one file with its record; CorruptWeights on another size or hash, or if it is gone."""
    path = folder / record.name
    try:
        size_bytes = path.stat().st_size
        sha256 = file_sha256(path) if size_bytes == record.size_bytes else None
    except OSError as error:
        raise CorruptWeights(
            f"got no readable {record.name} in {folder} ({error}), expected {record.size_bytes} bytes; "
            "run `speclight cache clear`, the next load converts again"
        ) from error
    if sha256 != record.sha256:
        got = f"{size_bytes} bytes" if sha256 is None else f"SHA-256 {sha256}"
        raise CorruptWeights(
            f"got {got} for {path}, expected {record.size_bytes} bytes with SHA-256 {record.sha256}; "
            "run `speclight cache clear`, the next load converts again"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex, read in blocks (constant memory)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(path: Path) -> CacheEntry:
    size_bytes = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    try:
        manifest = read_manifest(path)
        weights_sha256 = manifest.record(WEIGHTS_NAME).sha256
    except CorruptWeights:
        # Listed all the same: an entry that cannot be read is what the user wants to see and clear.
        return CacheEntry(path, size_bytes, None, None, None)
    return CacheEntry(path, size_bytes, manifest.model_name, weights_sha256, manifest.source_sha256)
