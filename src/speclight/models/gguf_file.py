"""A GGUF file opened for reading: typed metadata and dequantised tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize

from speclight.arrays import Float32Array
from speclight.errors import CorruptWeights, ModelNotFound

Value = TypeVar("Value", str, int, float, bool)


@dataclass(frozen=True, slots=True, eq=False)
class GgufFile:
    """A parsed GGUF; the tensors stay memory-mapped and quantised until asked for."""

    path: Path
    reader: GGUFReader

    @property
    def tensors(self) -> tuple[ReaderTensor, ...]:
        """Headers of all tensors, in file order."""
        return tuple(self.reader.tensors)

    @property
    def quantisation(self) -> str:
        """Name of the storage type that most weights have ("Q4_1")."""
        weights: Counter[str] = Counter()
        for tensor in self.reader.tensors:
            weights[tensor.tensor_type.name] += int(tensor.n_elements)
        return weights.most_common(1)[0][0]

    def has(self, key: str) -> bool:
        """Whether the metadata holds this key."""
        return key in self.reader.fields

    def get(self, key: str, kind: type[Value]) -> Value | None:
        """A metadata scalar, None if it is absent; CorruptWeights if it is of another type."""
        return self.value(key, kind) if self.has(key) else None

    def value(self, key: str, kind: type[Value]) -> Value:
        """A metadata scalar; CorruptWeights if it is absent or of another type."""
        value = self._contents(key)
        if not isinstance(value, kind):
            raise CorruptWeights(
                f"{self.path.name}: metadata {key!r} is {value!r}, expected {kind.__name__}; "
                "get the file anew"
            )
        return value

    def values(self, key: str, kind: type[Value]) -> list[Value]:
        """A metadata array; CorruptWeights if it is absent or of another type."""
        values = self._contents(key)
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise CorruptWeights(
                f"{self.path.name}: metadata {key!r} is no list of {kind.__name__}; get the file anew"
            )
        return values

    def _contents(self, key: str) -> Any:
        field = self.reader.fields.get(key)
        if field is None:
            raise CorruptWeights(
                f"{self.path.name} has no metadata {key!r}, expected a complete language model; "
                "give a GGUF that holds weights and tokenizer"
            )
        return field.contents()


def open_gguf(path: Path) -> GgufFile:
    """Parse header, metadata and tensor table. ModelNotFound if unreadable, CorruptWeights if no GGUF."""
    try:
        return GgufFile(path, GGUFReader(path))
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
