"""Passes of a few positions over a text's cache, recorded once for each shape and replayed as a CUDA graph.

A small pass on a GPU takes as long as its kernels take to start, one by one. A graph starts all of them at
once. It needs every tensor to stay where it is, so the pass attends to all slots of a slab under a mask, and
new positions are filled up to one of a few numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from speclight.models.kv_cache import PathCache, PathLayer
from speclight.models.slabs import Slab, Slabs

# New positions of a pass are filled up to the next of these; more are computed as ever.
ROWS = (1, 2, 4, 8, 16, 32, 64)
# Runs before the recording: libraries set themselves up in the first.
WARM_UPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class PassInputs:
    """What goes into a pass over one text, on the model's device.

    tokens, positions: [1, rows] of the new tokens. visible: [1, rows, slots] bool. slot_positions: [1,
    slots]. states: [1, rows, width] that a head reads beside the tokens; None for a model of tokens alone.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    slot_positions: torch.Tensor
    states: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PassOutputs:
    """See ForwardPass: [1, rows, vocab] logits, or what comes of them, and [1, rows, ...] features."""

    logits: torch.Tensor
    features: torch.Tensor | None


class ComputesPass(Protocol):
    """A model's pass as it is without any recording; writes what is new to the cache."""

    def __call__(self, cache: Cache, inputs: PassInputs, hidden_layers: tuple[int, ...], /) -> PassOutputs:
        """The pass, with logits at all rows."""
        ...


class _SlabLayer(CacheLayerMixin):
    """One layer of a slab, as a pass writes to it and attends to it: new slots go where `places` says."""

    is_sliding = False  # see PathLayer

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, places: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self._places = keys, values, places
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to allocate: the slab is there."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new slots; return all there are, filled or not."""
        assert self.keys is not None
        assert self.values is not None
        self.keys.index_copy_(2, self._places, key_states)
        self.values.index_copy_(2, self._places, value_states)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Not known here; positions are given with every pass."""
        return 0

    def get_max_length(self) -> int:
        """Slots of the slab."""
        assert self.keys is not None
        return self.keys.shape[2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset, for models that build their mask themselves."""
        return self.get_max_length(), 0


class _StaticPass:
    """One shape: tensors that stay, and what computes from the ones to the others."""

    def __init__(
        self,
        compute: ComputesPass,
        slab: Slab[_StaticPass],
        layers: int,
        rows: int,
        hidden_layers: tuple[int, ...],
        width: int | None,
        pool: Any,
    ) -> None:
        device = slab.block.device
        self._rows, self._pool = rows, pool
        # Tokens, positions and places of the new rows, and the mask: filled here, carried over in two copies.
        self._numbers = torch.zeros((3, rows), dtype=torch.int64)
        self._seen = torch.zeros((rows, slab.slots), dtype=torch.bool)
        self._numbers_there = self._numbers.to(device)
        self._seen_there = self._seen.to(device)
        self._inputs = PassInputs(
            self._numbers_there[0][None],
            self._numbers_there[1][None],
            self._seen_there[None],
            torch.zeros((1, slab.slots), dtype=torch.int64, device=device),
            None if width is None else slab.block.new_zeros((1, rows, width)),
        )
        places = self._numbers_there[2]
        views = [_SlabLayer(keys[None], values[None], places) for keys, values in slab.block[:layers]]

        def step() -> PassOutputs:
            return compute(Cache(layers=list(views)), self._inputs, hidden_layers)

        self._step: Callable[[], PassOutputs] = step
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: PassOutputs | None = None

    def run(self, filled: int, given: PassInputs) -> PassOutputs:
        """One pass over new tokens behind the filled slots. given: see `StaticPasses.run`."""
        new, end = given.tokens.shape[1], filled + given.tokens.shape[1]
        self._numbers[:2, new:] = 0
        self._numbers[0, :new], self._numbers[1, :new] = given.tokens[0], given.positions[0]
        self._numbers[2] = torch.arange(filled, filled + self._rows)
        self._seen.zero_()
        self._seen[:new, :end] = given.visible[0]
        for row in range(new, self._rows):  # a row that sees nothing would be divided by zero
            self._seen[row, filled + row] = True
        self._numbers_there.copy_(self._numbers)
        self._seen_there.copy_(self._seen)
        self._inputs.slot_positions[:, :end] = given.slot_positions
        if self._inputs.states is not None:
            assert given.states is not None
            self._inputs.states[:, :new] = given.states
        outputs = self._computed()
        features = None if outputs.features is None else outputs.features[:, :new].clone()
        return PassOutputs(outputs.logits[:, :new].clone(), features)

    def _computed(self) -> PassOutputs:
        if self._numbers_there.device.type != "cuda":
            return self._step()
        if self._graph is None:
            self._record()
        assert self._graph is not None
        assert self._outputs is not None
        self._graph.replay()
        return self._outputs

    def _record(self) -> None:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # A drafter may be at work in another thread.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._outputs = self._step()
        self._graph = graph


class StaticPasses:
    """A model's passes over one text each. compute: its pass as it is without them. layers: how many it has.

    On a CPU they are computed step by step from the same tensors, which is slower than without.
    """

    def __init__(self, compute: ComputesPass, layers: int) -> None:
        self._compute, self._layers = compute, layers
        self._slabs: Slabs[_StaticPass] = Slabs()
        self._stopped = False
        # All of them work in the same memory: none runs beside another, and what they give is copied at once.
        self._pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None

    def run(self, cache: Cache, given: PassInputs, hidden_layers: tuple[int, ...] = ()) -> PassOutputs | None:
        """See CausalLM.forward; None for a pass that is not of those recorded, which is then untouched.

        given: tokens, positions and visible on the CPU; slots are the filled and the new ones. What cannot be
        recorded, a model that looks at its numbers on the way, warns once and gives None from then on.
        """
        if self._stopped or not self._takes(cache, given.tokens):
            return None
        assert isinstance(cache, PathCache)
        filled, new = cache.filled, given.tokens.shape[1]
        rows = next(rows for rows in ROWS if rows >= new)
        slab = self._slabs.holding(cache, filled + rows)
        if slab is None:
            return None
        key = (self, rows, hidden_layers)
        if key not in slab.kept:
            width = None if given.states is None else given.states.shape[2]
            slab.kept[key] = _StaticPass(
                self._compute, slab, self._layers, rows, hidden_layers, width, self._pool
            )
        try:
            outputs = slab.kept[key].run(filled, given)
        except RuntimeError as error:
            self._stopped = True
            warnings.warn(
                f"this model's pass cannot be recorded as a CUDA graph ({str(error).splitlines()[0]}): it is "
                "computed step by step, as with kernels eager",
                stacklevel=3,
            )
            return None
        for layer in cache.path_layers:
            layer.fill_to(filled + new)
        return outputs

    def _takes(self, cache: Cache, tokens: torch.Tensor) -> bool:
        """Whether such a pass is one of those: over few tokens behind a text that was begun."""
        return (
            isinstance(cache, PathCache)
            and tokens.shape[0] == 1
            and 0 < tokens.shape[1] <= ROWS[-1]
            and type(cache.path_layers[0]) is PathLayer
            and cache.filled > 0
        )
