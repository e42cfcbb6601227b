"""Weights in a few bits, as products read them: exact ones, and those of a drafter rounded.

A call of few positions is as fast as its weights are read. Weights that come from a file of 4 or 8 bits, like
the default target's Q4_1, are made float32 when they are loaded, five times as much to read. Whether a matrix
is such a one is seen in its numbers: each block of 32 is then a few equal steps. Its codes and steps stand
beside it, and say each weight to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from speclight.models.few_rows import FewRowsLinear
from speclight.models.kernel_cache import kept_kernels

Bits = Literal[4, 8]


class PackedParameter(nn.Parameter):
    """A matrix [out, in] that knows its codes.

    bits: of each code. words: the codes, in 16 bits each (`packed_dots.words_of`). scales: [tiles, blocks,
    scales, lanes] float32.
    """

    bits: Bits
    words: torch.Tensor
    scales: torch.Tensor
    packed_version: int

    @property
    def is_packed(self) -> bool:
        """Whether the codes are still those of the numbers: not once these were written to."""
        return version_of(self) == self.packed_version


def version_of(tensor: torch.Tensor) -> int:
    """How often a tensor was written to; of one made in inference mode, which does not count that, -1."""
    return -1 if tensor.is_inference() else tensor._version


def bytes_to_read(weight: torch.Tensor) -> int:
    """Of a matrix in a product of few rows: of its codes and scales, if it knows some."""
    parts = (weight.words, weight.scales) if isinstance(weight, PackedParameter) else (weight,)
    return sum(part.numel() * part.element_size() for part in parts)


def pack_weights(module: nn.Module) -> None:
    """Exchange every matrix of few-row layers that a few bits say exactly by one that knows them.

    In all modules that share it, unless it has gradients. The numbers are not copied; the codes take a fifth
    of their memory (4 bits), or a bit more than a quarter (8).
    """
    _loops()  # compiled here, once for all threads
    layers = [layer for layer in module.modules() if isinstance(layer, FewRowsLinear)]
    found = {id(layer.weight): layer.weight for layer in layers if not layer.weight.requires_grad}
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # the loops hold no lock
        made = threads.map(packed_of, found.values())
    packed = {key: weight for key, weight in zip(found, made, strict=True) if weight is not None}
    for owner in module.modules():
        for name, weight in owner.named_parameters(recurse=False, remove_duplicate=False):
            if id(weight) in packed:
                setattr(owner, name, packed[id(weight)])


def round_weights(module: nn.Module) -> None:
    """Give every linear layer's matrix codes: those that say it exactly, or weights are rounded to 8 bits.

    To 255 steps of their block. For drafters, whose law may be anything: what is emitted has the target's. A
    matrix whose rows are no whole blocks is left as it is.
    """
    from speclight.models.packed_dots import BLOCK

    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.weight.shape[1] % BLOCK == 0:
            layer.weight = packed_of(layer.weight) or _rounded(layer.weight)


def _rounded(weight: torch.Tensor) -> PackedParameter:
    from speclight.models.packed_dots import BLOCK

    blocks = weight.detach().float().unflatten(1, (-1, BLOCK))
    steps = blocks.abs().amax(2, keepdim=True) / 127.0
    codes = (blocks / steps.clamp_min(torch.finfo(torch.float32).tiny)).round()
    return _packed(weight, 8, codes.flatten(1).to(torch.int8).numpy(), steps.numpy())


def packed_of(weight: torch.Tensor) -> PackedParameter | None:
    """The matrix with its codes, on the same numbers; None if four or eight bits do not say all of it."""
    from speclight.models.packed_dots import BLOCK, scales_a_block

    if weight.dtype != torch.float32 or weight.dim() != 2 or weight.shape[1] % BLOCK or weight.is_meta:
        return None
    numbers, blocks = weight.detach().contiguous().numpy(), weight.shape[1] // BLOCK
    codes, loops = np.empty(numbers.shape, np.uint8), _loops()
    ways: tuple[tuple[Bits, Any], ...] = (
        (4, loops.codes_of_four_bits),
        (8, loops.codes_of_eight_bits),
    )
    for bits, find in ways:
        scales = np.empty((len(numbers), blocks, scales_a_block(bits)), np.float32)
        if find(numbers, codes, scales):
            return _packed(weight, bits, codes, scales)
    return None


@cache
def _loops() -> ModuleType:
    """Compiled where nothing is kept."""
    with kept_kernels():
        from speclight.models import block_codes
    return block_codes


def _packed(weight: torch.Tensor, bits: Bits, codes: np.ndarray, scales: np.ndarray) -> PackedParameter:
    """The matrix with codes [out, in], a byte each, and scales [out, blocks, scales]."""
    from speclight.models.packed_dots import LANES, words_of

    outputs, blocks, kinds = scales.shape
    words = np.zeros(words_of(bits, blocks, outputs), np.uint16)
    _loops().arrange(codes, bits, words)
    of_tiles = np.zeros((len(words) * LANES, blocks, kinds), np.float32)
    of_tiles[:outputs] = scales
    of_tiles = of_tiles.reshape(-1, LANES, blocks, kinds).transpose(0, 2, 3, 1)
    made = PackedParameter(weight.detach(), requires_grad=False)
    made.bits, made.words = bits, torch.from_numpy(words.view(np.int16))
    made.scales = torch.from_numpy(np.ascontiguousarray(of_tiles))
    made.packed_version = version_of(made)
    return made
