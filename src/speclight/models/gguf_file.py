"""A GGUF model opened for reading, in one file or in shards: typed metadata and dequantised tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize

from speclight.arrays import Float32Array
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound
from speclight.models.gguf_shards import SHARD_NAME, shard_name, shard_paths

Value = TypeVar("Value", str, int, float, bool)


@dataclass(frozen=True, slots=True, eq=False)
class GgufFile:
    """A parsed GGUF; the tensors stay memory-mapped and quantised until asked for.

    path: the file, or the first shard, which holds the metadata. readers: one a shard.
    """

    path: Path
    readers: tuple[GGUFReader, ...]

    @property
    def stem(self) -> str:
        """The file's name without its ending and its place among the shards."""
        shard = SHARD_NAME.fullmatch(self.path.name)
        return shard[1] if shard else self.path.stem

    @property
    def tensors(self) -> tuple[ReaderTensor, ...]:
        """Headers of all tensors, in file order."""
        return tuple(tensor for reader in self.readers for tensor in reader.tensors)

    @property
    def quantisation(self) -> str:
        """Name of the storage type that most weights have ("Q4_1")."""
        weights: Counter[str] = Counter()
        for tensor in self.tensors:
            weights[tensor.tensor_type.name] += int(tensor.n_elements)
        return weights.most_common(1)[0][0]

    @property
    def keys(self) -> tuple[str, ...]:
        """All metadata keys, in file order."""
        # The reader counts three numbers of the header among them.
        return tuple(key for key in self.readers[0].fields if not key.startswith("GGUF."))

    def has(self, key: str) -> bool:
        """Whether the metadata holds this key."""
        return key in self.readers[0].fields

    def contents(self, key: str) -> Any:
        """A metadata value of whatever type; CorruptWeights if it is absent."""
        field = self.readers[0].fields.get(key)
        if field is None:
            raise CorruptWeights(
                f"{self.path.name} has no metadata {key!r}, expected a complete language model; "
                "give a GGUF that holds weights and tokenizer"
            )
        return field.contents()

    def get(self, key: str, kind: type[Value]) -> Value | None:
        """A metadata scalar, None if it is absent; CorruptWeights if it is of another type."""
        return self.value(key, kind) if self.has(key) else None

    def value(self, key: str, kind: type[Value]) -> Value:
        """A metadata scalar; CorruptWeights if it is absent or of another type."""
        value = self.contents(key)
        if not isinstance(value, kind):
            raise CorruptWeights(
                f"{self.path.name}: metadata {key!r} is {value!r}, expected {kind.__name__}; "
                "get the file anew"
            )
        return value

    def values(self, key: str, kind: type[Value]) -> list[Value]:
        """A metadata array; CorruptWeights if it is absent or of another type."""
        values = self.contents(key)
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise CorruptWeights(
                f"{self.path.name}: metadata {key!r} is no list of {kind.__name__}; get the file anew"
            )
        return values


def open_gguf(path: Path) -> GgufFile:
    """Parse header, metadata and tensor table, of every shard where there are several.

    path: a file, or any of the shards. Raises ModelNotFound if one is missing or unreadable, CorruptWeights
    if it is no GGUF or the shards do not fit together, InvalidInput for a shard under another name.
    """
    paths = shard_paths(path)
    file = GgufFile(paths[0], tuple(_reader(each) for each in paths))
    _check_shards(file, paths)
    return file


def _reader(path: Path) -> GGUFReader:
    try:
        return GGUFReader(path)
    except OSError as error:
        raise ModelNotFound(f"could not read {path}: {error}; expected a GGUF file") from error
    # The reader trusts what it reads: a cut or damaged header shows as any of these.
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise CorruptWeights(
            f"{path.name} is no complete GGUF file ({error}); expected GGUF version 2 or 3; get the file anew"
        ) from error


def dequantised(file: GgufFile, tensor: ReaderTensor) -> Float32Array:
    """The tensor's values in float32, rows first (a GGUF lists its dimensions in the opposite order).

    Q4_1 is scale * nibble + minimum per block of 32, both halves in float16; the product and the sum are
    taken in float32, as llama.cpp does, so the result is what that engine multiplies with.
    Raises CorruptWeights for a storage type that this version of `gguf` cannot expand.
    """
    try:
        return np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    except NotImplementedError as error:
        raise CorruptWeights(
            f"{file.path.name}: tensor {tensor.name} is stored as {tensor.tensor_type.name}, which cannot be "
            "dequantised here; use a GGUF of another type (Q4_1, Q8_0, F16, ...)"
        ) from error


def _check_shards(file: GgufFile, paths: Sequence[Path]) -> None:
    """Raise unless headers and names say the same about how the model is split."""
    for place, (path, reader) in enumerate(zip(paths, file.readers, strict=True)):
        number, count = (_number(reader, key, default) for key, default in (("no", 0), ("count", 1)))
        if len(paths) == 1 and count > 1:
            raise InvalidInput(
                f"{path.name} is shard {number + 1} of {count}, expected it among the others under its first "
                f"name ({shard_name('NAME', number + 1, count)}); name the files so again"
            )
        if (number, max(count, 1)) != (place, len(paths)):
            raise CorruptWeights(
                f"{path.name} says in its header that it is shard {number + 1} of {count}, expected what its "
                "name says; get the files anew"
            )
    tensors = _number(file.readers[0], "tensors.count", len(file.tensors))
    if len(paths) > 1 and len(file.tensors) != tensors:
        raise CorruptWeights(
            f"the {len(paths)} shards of {file.stem} hold {len(file.tensors)} tensors, expected {tensors}; "
            "get the files anew"
        )


def _number(reader: GGUFReader, key: str, default: int) -> int:
    field = reader.fields.get(f"split.{key}")
    return default if field is None else int(field.contents())
