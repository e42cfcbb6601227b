"""Sampled texts with the target's states on disk: what is computed once and trained on many times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from speclight.errors import StorageError
from speclight.measure.store import read_recorded, write_recorded

SHARD_PATTERN = "shard-*.safetensors"
_REMEDY = "delete it, and train-head samples what is missing"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredConversation:
    """A text that the target wrote, and what it computed at each of its positions.

    tokens: [positions] ids, int32. features: [positions, layers * hidden size] states entering the layers
    asked for. last_states: [positions, hidden size] what the target's output matrix is applied to.
    written_from: first position that the target sampled itself. answer_from: first position of its answer.
    temperature: of the answer; the user turn is always sampled at 1.
    """

    tokens: torch.Tensor
    features: torch.Tensor
    last_states: torch.Tensor
    written_from: int
    answer_from: int
    temperature: float


def write_shard(path: Path, texts: list[ScoredConversation]) -> None:
    """Write texts as one safetensors file, whole or not at all. Raises StorageError if that fails."""
    content = save(
        {
            "tokens": torch.cat([text.tokens for text in texts]).contiguous(),
            "features": torch.cat([text.features for text in texts]).contiguous(),
            "last_states": torch.cat([text.last_states for text in texts]).contiguous(),
            "lengths": torch.tensor([len(text.tokens) for text in texts]),
            "written_from": torch.tensor([text.written_from for text in texts]),
            "answer_from": torch.tensor([text.answer_from for text in texts]),
            "temperatures": torch.tensor([text.temperature for text in texts]),
        }
    )
    write_recorded(path.parent, path.name, content)


def tokens_of_shard(path: Path) -> int:
    """Tokens of one shard, by its header alone. Raises StorageError if that is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_slice("tokens").get_shape()[0]
    except (OSError, SafetensorError) as error:
        raise StorageError(f"could not read {path.name} ({error}); {_REMEDY}") from error


def read_shard(path: Path) -> list[ScoredConversation]:
    """The texts of one shard. Raises StorageError if the file is damaged."""
    try:
        tensors = load(read_recorded(path.parent, path.name))
    except SafetensorError as error:
        raise StorageError(f"could not read {path.name} ({error}); {_REMEDY}") from error
    lengths = tensors["lengths"].tolist()
    parts = zip(
        *(tensors[name].split(lengths) for name in ("tokens", "features", "last_states")),
        tensors["written_from"].tolist(),
        tensors["answer_from"].tolist(),
        tensors["temperatures"].tolist(),
        strict=True,
    )
    return [ScoredConversation(*part) for part in parts]


def shard_paths(folder: Path) -> list[Path]:
    """All finished shards of a folder, in the order of their names."""
    return sorted(folder.glob(SHARD_PATTERN))
