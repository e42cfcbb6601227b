"""A key-value cache whose rows are texts of different lengths, each restartable on its own."""

from __future__ import annotations

import torch
from transformers import Cache

from speclight.models.kv_cache import PathCache, PathLayer
from speclight.models.visibility import below


class RowLayer(PathLayer):
    """Keys and values of one layer, [rows, heads, slots, head size]; each row is written at its own slot."""

    def __init__(
        self, keys: torch.Tensor, values: torch.Tensor, rows: int, slots: int, place: RowPlace
    ) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._keys = keys.new_zeros((rows, keys.shape[1], slots, keys.shape[3]))
        self._values = torch.zeros_like(self._keys)
        self._keys[:, :, : keys.shape[2]] = keys
        self._values[:, :, : keys.shape[2]] = values
        self._place = place
        self._rows = torch.arange(rows)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one new slot per row; return views up to the longest row."""
        self._keys[self._rows, :, self._place.slots] = key_states[:, :, 0]
        self._values[self._rows, :, self._place.slots] = value_states[:, :, 0]
        return self._filled_to(int(self._place.slots.max()) + 1)


class RowPlace:
    """Where each row's next token goes, shared by all layers. slots: [rows], also the token's position."""

    def __init__(self, rows: int, first: int) -> None:
        self.slots = torch.full((rows,), first)

    def visible(self) -> torch.Tensor:
        """[rows, 1, longest row + 1] which slots the next token of each row attends to."""
        return below(self.slots + 1, int(self.slots.max()) + 1)[:, None]


class RowCache(PathCache):
    """The cache of a batch of texts that all start with the same tokens and end at different times.

    prefix: the cache of one text, the shared start, committed. To start a row anew, set its slot in `place`
    back to the prefix's length: what the finished text left behind is masked and then written over.
    """

    def __init__(self, prefix: PathCache, rows: int, slots: int) -> None:
        self.place = RowPlace(rows, prefix.committed)
        self.path_layers = []
        for layer in prefix.path_layers:
            assert layer.keys is not None  # the prefix has been read
            assert layer.values is not None
            self.path_layers.append(RowLayer(layer.keys, layer.values, rows, slots, self.place))
        Cache.__init__(self, layers=list(self.path_layers))
        self.committed = 0
