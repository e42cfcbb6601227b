"""The caches of several texts, seen as one by a pass over new tokens of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from speclight.models.kv_cache import PathCache, PathLayer


@dataclass(frozen=True, slots=True, eq=False)
class TextBounds:
    """Where the texts of a joint pass begin, and where the last one ends: [texts + 1] int32, on the CPU.

    new: among the new tokens. slots: among the slots, the new ones included.
    """

    new: torch.Tensor
    slots: torch.Tensor


class JointLayer(CacheLayerMixin):
    """One layer of several texts: takes new keys and values apart by text, gives all slots side by side."""

    is_sliding = False  # see PathLayer

    def __init__(self, layers: Sequence[PathLayer], new: Sequence[int]) -> None:
        super().__init__()
        self._layers, self._new = layers, list(new)
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to allocate: the slots are those of the texts' own layers."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write each text's new slots behind its filled ones; return copies of all filled slots."""
        new_keys, new_values = key_states.split(self._new, dim=2), value_states.split(self._new, dim=2)
        filled = [
            layer.update(keys, values)
            for layer, keys, values in zip(self._layers, new_keys, new_values, strict=True)
        ]
        return torch.cat([keys for keys, _ in filled], dim=2), torch.cat(
            [values for _, values in filled], dim=2
        )

    def get_seq_length(self) -> int:
        """Filled slots of all texts."""
        return sum(layer.length for layer in self._layers)

    def get_max_length(self) -> int:
        """No maximum (the interface's -1)."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset, for models that build their mask themselves."""
        return self.get_seq_length() + query_length, 0


class JointCache(Cache):
    """Several texts' caches for one pass whose new tokens stand one text after the other in a single row.

    Texts of different lengths with trees of different sizes need no padding this way: every new token is one
    that was asked for, and each text's slots stay in its own cache, to be kept, dropped or lent to a drafter
    there. The price is one copy of the slots per layer and pass, to set them side by side.

    caches: one by text. new: how many of the pass's tokens belong to each.
    """

    def __init__(self, caches: Sequence[PathCache], new: Sequence[int]) -> None:
        self._caches, self._new = caches, list(new)
        by_layer = zip(*(cache.path_layers for cache in caches), strict=True)
        super().__init__(layers=[JointLayer(layers, new) for layers in by_layer])

    def positions_with(self, positions: torch.Tensor) -> torch.Tensor:
        """[1, filled + new] position of each slot in its own text, new tokens [1, new] among them."""
        parts = zip(self._caches, positions.split(self._new, dim=1), strict=True)
        return torch.cat([cache.positions_with(part) for cache, part in parts], dim=1)

    def record_positions(self, slot_positions: torch.Tensor) -> None:
        """[1, filled] after a pass: what `positions_with` gave before it."""
        parts = slot_positions.split([cache.filled for cache in self._caches], dim=1)
        for cache, part in zip(self._caches, parts, strict=True):
            cache.record_positions(part)

    def text_bounds(self) -> TextBounds:
        """The bounds of the texts in the next pass."""
        slots = [cache.filled + new for cache, new in zip(self._caches, self._new, strict=True)]
        return TextBounds(new=_bounds(self._new), slots=_bounds(slots))


def _bounds(lengths: Sequence[int]) -> torch.Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
