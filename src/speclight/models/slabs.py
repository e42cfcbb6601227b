"""Key-value buffers that stay where they are, lent to one text after the other.

What a CUDA graph reads and writes it finds by address. A text's own buffers move whenever they grow and go
with the text; these are made once for each size, so that what was recorded over them serves every text.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch

from speclight.models.kv_cache import PathCache, PathLayer

SMALLEST_SLAB = 512
# Lent at the same time at most, of one size; further texts keep buffers of their own.
MOST_LENT = 4
Kept = TypeVar("Kept")


class Slab(Generic[Kept]):
    """Keys and values of all layers of one text in a single block: [layers, 2, heads, slots, head size].

    kept: what was recorded over it, by whatever tells one record from another.
    """

    def __init__(self, like: Sequence[PathLayer], slots: int) -> None:
        keys, _ = like[0].filled_slots()
        _, heads, _, size = keys.shape
        self.block = keys.new_zeros((len(like), 2, heads, slots, size))
        self.kept: dict[object, Kept] = {}
        self._views = [(keys[None], values[None]) for keys, values in self.block]
        self._lent_to: weakref.ref[PathLayer] | None = None

    @property
    def slots(self) -> int:
        """How many it has room for."""
        return self.block.shape[3]

    @property
    def is_free(self) -> bool:
        """Whether no text that still lives is in it."""
        layer = None if self._lent_to is None else self._lent_to()
        return layer is None or layer.slab is not self

    def holds(self, layers: Sequence[PathLayer]) -> bool:
        """Whether these are the first layers of the text that is in it."""
        return len(layers) <= len(self._views) and all(
            layer.is_in(keys) for layer, (keys, _) in zip(layers, self._views, strict=False)
        )

    def fits(self, layers: Sequence[PathLayer], slots: int) -> bool:
        """Whether a text with these layers could be in it with so many slots."""
        keys, _ = layers[0].filled_slots()
        shape = (len(layers), 2, keys.shape[1], slots, keys.shape[3])
        return self.block.shape == shape and self.block.dtype == keys.dtype

    def take_in(self, cache: PathCache) -> None:
        """Move a text of one row here; every layer's filled slots come along."""
        self.block.zero_()  # a mask hides what others left behind, but zero times NaN is NaN
        for layer, buffers in zip(cache.path_layers, self._views, strict=True):
            filled = layer.length
            for old, new in zip(layer.filled_slots(), buffers, strict=True):
                new[:, :, :filled] = old
            layer.adopt(*buffers, filled)
        cache.path_layers[0].slab = self
        self._lent_to = weakref.ref(cache.path_layers[0])

    def move(self, layers: int, start: int, end: int, slots: torch.Tensor) -> None:
        """Move the given slots of the first layers to start..end, all at once."""
        part = self.block[:layers]
        part[:, :, :, start:end] = part[:, :, :, slots]


class Slabs(Generic[Kept]):
    """Those of one model."""

    def __init__(self) -> None:
        self._made: list[Slab[Kept]] = []

    def holding(self, cache: PathCache, slots: int) -> Slab[Kept] | None:
        """The slab that a text of one row is in, after moving it if it was in none with room for `slots`.

        None where texts that live hold all there may be, and for layers that are not of one shape.
        """
        layers = cache.path_layers
        slab = layers[0].slab
        if slab is not None and slab.slots >= slots and slab.holds(layers):
            return slab
        if not _are_alike(layers):
            return None
        size = max(SMALLEST_SLAB, 1 << (slots - 1).bit_length())
        fitting = [slab for slab in self._made if slab.fits(layers, size)]
        free = next((slab for slab in fitting if slab.is_free), None)
        if free is None:
            if len(fitting) >= MOST_LENT:
                return None
            free = Slab[Kept](layers, size)
            self._made.append(free)
        free.take_in(cache)
        return free


def _are_alike(layers: Sequence[PathLayer]) -> bool:
    shapes = {
        (part.shape[0], part.shape[1], part.shape[3]) for layer in layers for part in layer.filled_slots()
    }
    return len(shapes) == 1
