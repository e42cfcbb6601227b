"""Prompts that a target has read, kept for all that is to be read behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.kv_cache import PathCache

# Held of all prompts together, bytes: some 10,000 tokens of the default target. The last one always stays.
MOST_BYTES = 2**29


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A prompt all but whose last token was read, into a cache that is the receiver's own.

    hidden_layers: layers whose entering states are in `features`, [positions read, layers * hidden size];
    None if there are none. The last token is left to the pass that goes on, which asks what follows it.
    """

    token_ids: tuple[int, ...]
    cache: PathCache
    hidden_layers: tuple[int, ...]
    features: torch.Tensor | None

    def goes_on(self, token_ids: Sequence[int], hidden_layers: tuple[int, ...]) -> PathCache:
        """The cache, for a text that begins with the prompt.

        Raises InvalidInput for another text or layers.
        """
        begins = tuple(token_ids[: len(self.token_ids)]) == self.token_ids
        if not begins or hidden_layers != self.hidden_layers:
            raise InvalidInput(
                f"got the reading of a prompt of {len(self.token_ids)} tokens with states of layers "
                f"{self.hidden_layers} for a text of {len(token_ids)} tokens and layers {hidden_layers}, "
                "expected a beginning of that text and the same layers; ask for this text's prompt"
            )
        return self.cache


class Readings:
    """Reads prompts for one target, each once, as long as there is room to keep what was read.

    A reading is the same to the bit whether it was kept or made again: a prompt is always read by itself.
    hidden_layers: layers whose entering states are kept, for drafters that will ask for them; a prompt is
    read again for others. most_bytes: what is kept at most, the prompts used last.
    """

    def __init__(
        self, model: CausalLM, hidden_layers: Iterable[int] = (), most_bytes: int = MOST_BYTES
    ) -> None:
        self._model = model
        self._hidden_layers = tuple(sorted(set(hidden_layers)))
        self._most_bytes = most_bytes
        self._kept: dict[tuple[int, ...], Begun] = {}  # in order of their last use

    def begun(self, token_ids: Sequence[int], hidden_layers: tuple[int, ...] = ()) -> Begun:
        """A prompt read up to its last token, with the states entering these layers, in this order.

        Raises InvalidInput and ContextOverflow as `CausalLM.check_text_fits`.
        """
        key = tuple(token_ids)
        self._model.check_text_fits(list(key))
        if not set(hidden_layers).issubset(self._hidden_layers):
            self._hidden_layers = tuple(sorted({*self._hidden_layers, *hidden_layers}))
        kept = self._kept.pop(key, None)
        if kept is None or not set(hidden_layers).issubset(kept.hidden_layers):
            kept = self._read(key)
        self._kept[key] = kept
        while len(self._kept) > 1 and self.bytes_held() > self._most_bytes:
            del self._kept[next(iter(self._kept))]
        features = of_layers(kept.features, kept.hidden_layers, hidden_layers)
        return Begun(key, kept.cache.copy(), hidden_layers, features)

    def bytes_held(self) -> int:
        """Memory of what is kept."""
        return sum(
            one.cache.bytes_held() + (0 if one.features is None else one.features.nbytes)
            for one in self._kept.values()
        )

    def _read(self, token_ids: tuple[int, ...]) -> Begun:
        cache = self._model.new_cache()
        features = self._model.prefill(cache, list(token_ids[:-1]), self._hidden_layers)
        return Begun(token_ids, cache.copy(), self._hidden_layers, features)


def of_layers(
    features: torch.Tensor | None, held: Sequence[int], wanted: Sequence[int]
) -> torch.Tensor | None:
    """[positions, wanted layers * hidden size] of features of the layers held; None if none is wanted."""
    if features is None or not wanted:
        return None
    places = [list(held).index(layer) for layer in wanted]
    return features.unflatten(1, (len(held), -1))[:, places].flatten(1)
