"""A key-value cache that takes in a whole draft tree and keeps one path of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

if TYPE_CHECKING:
    from speclight.models.slabs import Slab

# Slots added when a buffer is full, as a share of its size: amortised growth without copying on each call.
GROWTH_FACTOR = 1.5
SMALLEST_BUFFER = 128


class PathLayer(CacheLayerMixin):
    """Keys and values of one layer in a growing buffer: [batch, heads, slots, head size]."""

    is_sliding = False  # sliding-window layers are masked, not cropped: a tree needs the slots kept apart

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self._keys = self._values = torch.empty(0)
        # [batch, slots] position of each filled slot in its text; recorded on a cache's first layer alone
        self.slot_positions: torch.Tensor | None = None
        # what lent the buffers of all layers, if it was not each layer itself; on the first layer alone
        self.slab: Slab[Any] | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate the first buffers, shaped after the first keys and values seen."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys = key_states.new_empty((*key_states.shape[:2], 0, key_states.shape[3]))
        self._values = value_states.new_empty((*value_states.shape[:2], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new slots behind the filled ones; return views of all filled slots."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self._keys.shape[2]:
            capacity = max(SMALLEST_BUFFER, end, int(GROWTH_FACTOR * self._keys.shape[2]))
            self._keys = _grown(self._keys, capacity, self.length)
            self._values = _grown(self._values, capacity, self.length)
        self._keys[:, :, self.length : end] = key_states
        self._values[:, :, self.length : end] = value_states
        return self._filled_to(end)

    def move(self, start: int, end: int, slots: torch.Tensor) -> None:
        """Copy the given slots (each >= start, ascending) to start..end."""
        slots = slots.to(self._keys.device)
        self._keys[:, :, start:end] = self._keys[:, :, slots]
        self._values[:, :, start:end] = self._values[:, :, slots]

    def fill_to(self, end: int) -> None:
        """From now on the first slots, up to `end`, are the filled ones."""
        if self.is_initialized:  # not so for a text of one token: nothing was read, there is nothing to keep
            self.length = end
            self.keys = self.values = None  # the next update makes views of what is filled then

    def is_in(self, keys: torch.Tensor) -> bool:
        """Whether these are the layer's buffer of keys."""
        return self._keys is keys

    @torch.inference_mode()
    def drop_row(self, row: int) -> None:
        """Forget one text of the batch; the last one moves to its row."""
        rows = self._keys.shape[0] - 1
        if row < rows:
            self._keys[row, :, : self.length] = self._keys[rows, :, : self.length]
            self._values[row, :, : self.length] = self._values[rows, :, : self.length]
        self._keys, self._values = self._keys[:rows], self._values[:rows]
        if self.slot_positions is not None:
            left = [rows if place == row else place for place in range(rows)]
            self.slot_positions = self.slot_positions[left]
        self._filled_to(self.length)

    def filled_slots(self) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, heads, filled, head size] keys and values."""
        return self._keys[:, :, : self.length], self._values[:, :, : self.length]

    def adopt(self, keys: torch.Tensor, values: torch.Tensor, filled: int) -> None:
        """Take over buffers whose first slots are filled."""
        self.lazy_initialization(keys, values)
        self._keys, self._values = keys, values
        self._filled_to(filled)

    def bytes_held(self) -> int:
        """Memory of the buffers, bytes."""
        return sum(buffer.numel() * buffer.element_size() for buffer in (self._keys, self._values))

    def _filled_to(self, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.length = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Filled slots."""
        return self.length

    def get_max_length(self) -> int:
        """No maximum (the interface's -1): the buffer grows."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset, for models that build their mask themselves."""
        return self.length + query_length, 0


class PathCache(Cache):
    """Key-value cache of a text (or a batch of texts) being decoded speculatively.

    The first `committed` slots belong to the text. A forward pass appends slots behind them, in the order
    of its tokens; `keep` makes some of those part of the text and drops others, so that memory grows
    with accepted tokens only (rejected slots are written over by the next call).
    """

    def __init__(self, layers: int) -> None:
        self.path_layers = [PathLayer() for _ in range(layers)]
        super().__init__(layers=list(self.path_layers))
        self.committed = 0

    @property
    def filled(self) -> int:
        """Slots in use: committed ones and those of passes not yet kept or dropped."""
        return self.path_layers[0].length

    def positions_with(self, positions: torch.Tensor) -> torch.Tensor:
        """[batch, filled + new] position of each filled slot, and of new tokens [batch, new] behind them."""
        # On the first layer, so that a cache made of this one's first layers knows them too.
        known = self.path_layers[0].slot_positions
        return positions if known is None else torch.cat((known[:, : self.filled], positions), dim=1)

    def record_positions(self, slot_positions: torch.Tensor) -> None:
        """[batch, filled] after a pass: what `positions_with` gave before it."""
        self.path_layers[0].slot_positions = slot_positions

    def keep(self, slots: Sequence[int], loose: Sequence[int] = ()) -> None:
        """Commit the given slots (ascending, each >= committed) and drop every other uncommitted one.

        loose: slots (ascending, behind those) that stay uncommitted, and then follow the committed ones.
        """
        kept, end = [*slots, *loose], self.committed + len(slots) + len(loose)
        first = self.path_layers[0]
        # Already in place where no dropped slot stands before a kept one; looked at once for all layers.
        if kept and kept[-1] != end - 1:
            self._move(kept, end)
        elif first.slot_positions is not None:
            first.slot_positions = first.slot_positions[:, :end]
        for layer in self.path_layers:
            layer.fill_to(end)
        self.committed += len(slots)

    @torch.inference_mode()
    def _move(self, kept: list[int], end: int) -> None:
        """Move the kept slots to where the committed ones end, and up to `end`."""
        first, start = self.path_layers[0], self.committed
        index = torch.tensor(kept, device=first.device)
        if first.slab is not None and first.slab.holds(self.path_layers):
            first.slab.move(len(self.path_layers), start, end, index)
        else:
            for layer in self.path_layers:
                layer.move(start, end, index)
        if first.slot_positions is not None:
            known = (first.slot_positions[:, :start], first.slot_positions[:, index])
            first.slot_positions = torch.cat(known, dim=1)

    def drop_row(self, row: int) -> None:
        """Forget one text of the batch; the last one moves to its row."""
        for layer in self.path_layers:
            layer.drop_row(row)

    def filled_slots(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """By layer, [batch, heads, filled, head size] keys and values."""
        return [layer.filled_slots() for layer in self.path_layers]

    def adopt(self, buffers: list[tuple[torch.Tensor, torch.Tensor]], positions: torch.Tensor) -> None:
        """Take over, committed, what was read elsewhere: by layer buffers of keys and values.

        buffers: [batch, heads, slots, head size] each, of which the first are filled. positions: [batch,
        filled] of the tokens in those.
        """
        for layer, (keys, values) in zip(self.path_layers, buffers, strict=True):
            layer.adopt(keys, values, positions.shape[1])
        self.record_positions(positions.to(buffers[0][0].device))
        self.committed = positions.shape[1]

    def copy(self) -> PathCache:
        """A cache of its own that holds the same committed slots, without room beside them."""
        copied = PathCache(len(self.path_layers))
        positions = self.path_layers[0].slot_positions
        if positions is not None:
            held = slice(0, self.committed)
            slots = [(keys[:, :, held], values[:, :, held]) for keys, values in self.filled_slots()]
            copied.adopt([(keys.clone(), values.clone()) for keys, values in slots], positions[:, held])
        return copied

    def rewind(self, committed: int) -> None:
        """Forget all but the first slots of the text, and everything uncommitted."""
        self.committed = min(committed, self.committed)
        self.keep([])

    def bytes_held(self) -> int:
        """Memory of all buffers, bytes."""
        return sum(layer.bytes_held() for layer in self.path_layers)


def _grown(buffer: torch.Tensor, capacity: int, filled: int) -> torch.Tensor:
    grown = buffer.new_empty((*buffer.shape[:2], capacity, buffer.shape[3]))
    grown[:, :, :filled] = buffer[:, :, :filled]
    return grown
