"""A head's reduced vocabulary: which target token each of its rows stands for."""

from __future__ import annotations

import numpy as np

from speclight.arrays import IntArray
from speclight.errors import CorruptWeights


def target_ids_from_offsets(offsets: IntArray, vocabulary_size: int) -> IntArray:
    """[draft vocabulary] target ids from what checkpoints call d2t: target id = row + offset.

    Raises CorruptWeights for ids outside the vocabulary or standing twice (offsets read as ids, or ids
    stored as offsets, nearly always show here).
    """
    target_ids = offsets + np.arange(len(offsets))
    check_target_ids(target_ids, vocabulary_size, "d2t read as offsets")
    return target_ids


def check_target_ids(target_ids: IntArray, vocabulary_size: int, source: str) -> None:
    """Raise CorruptWeights unless the ids are different tokens of the target."""
    if len(target_ids) and not (0 <= target_ids.min() and target_ids.max() < vocabulary_size):
        raise CorruptWeights(
            f"{source} gives target ids from {target_ids.min()} to {target_ids.max()}, expected 0 to "
            f"{vocabulary_size - 1}; the head is for another vocabulary, or d2t holds ids instead of offsets"
        )
    if len(np.unique(target_ids)) != len(target_ids):
        raise CorruptWeights(
            f"{source} gives {len(target_ids) - len(np.unique(target_ids))} target ids twice, expected "
            "different ones; d2t must hold target id minus row"
        )
