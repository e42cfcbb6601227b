"""A key-value cache whose rows are texts of different lengths, each restartable on its own."""

from __future__ import annotations

from collections.abc import Sequence

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

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one new slot per row; return views up to the longest row."""
        place = self._place
        self._keys[place.rows, :, place.slots] = key_states[:, :, 0]
        self._values[place.rows, :, place.slots] = value_states[:, :, 0]
        return self._filled_to(place.longest)


class RowPlace:
    """Where each row's next token goes, shared by all layers.

    slots: [rows] on the device, also the token's position. longest: slots of the longest row with it.
    """

    def __init__(self, rows: int, first: int, device: torch.device) -> None:
        self.rows = torch.arange(rows, device=device)
        self.move_to([first] * rows)

    def move_to(self, slots: Sequence[int]) -> None:
        """[rows] where the next tokens go."""
        self._slots = torch.tensor(slots)
        self.slots, self.longest = self._slots.to(self.rows.device), max(slots) + 1

    def positions(self) -> torch.Tensor:
        """[rows, 1] position of each row's next token, not on the device: a pass looks at the last one."""
        return self._slots[:, None]

    def visible(self) -> torch.Tensor:
        """[rows, 1, longest row + 1] which slots the next token of each row attends to."""
        return below(self._slots + 1, self.longest)[:, None]


class RowCache(PathCache):
    """The cache of a batch of texts that all start with the same tokens and end at different times.

    prefix: the cache of one text, the shared start, committed. To start a row anew, set its slot in `place`
    back to the prefix's length: what the finished text left behind is masked and then written over.
    """

    def __init__(self, prefix: PathCache, rows: int, slots: int) -> None:
        self.path_layers = []
        first = prefix.path_layers[0]
        self.place = RowPlace(rows, prefix.committed, first.device)
        for layer in prefix.path_layers:
            keys, values = layer.filled_slots()
            self.path_layers.append(RowLayer(keys, values, rows, slots, self.place))
        Cache.__init__(self, layers=list(self.path_layers))
        self.committed = 0

    def positions_with(self, positions: torch.Tensor) -> torch.Tensor:
        """[rows, longest row + 1] position of each slot: a row has no tree, so that is the slot's number."""
        return torch.arange(self.place.longest, device=positions.device).expand(len(positions), -1)

    def record_positions(self, slot_positions: torch.Tensor) -> None:
        """Nothing is to be kept."""
