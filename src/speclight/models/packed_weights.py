"""Weights in a few bits, for products of few rows: exact ones, and those of a drafter rounded.

A call of few positions is as fast as its weights are read. Weights that come from a file of 4 or 8 bits, like
the default target's Q4_1, are made float32 when they are loaded, five times as much to read. Whether a matrix
is such a one is seen in its numbers: each block of 32 is then a few equal steps. Its codes and steps stand
beside it, and each weight that the products make of them is the float32 number to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import nn

from speclight.models.few_rows import FewRowsLinear
from speclight.models.kernel_cache import kept_kernels

Bits = Literal[4, 8]


class PackedParameter(nn.Parameter):
    """A matrix [out, in] that knows its codes.

    bits: of each code. codes: [out, in * bits / 8] bytes. scales: [out, blocks (of 4 bits: times 2)] float32.
    See `packed_dots`.
    """

    bits: Bits
    codes: torch.Tensor
    scales: torch.Tensor
    packed_version: int

    @property
    def is_packed(self) -> bool:
        """Whether the codes are still those of the numbers: not once these were written to."""
        return self._version == self.packed_version


def bytes_to_read(weight: torch.Tensor) -> int:
    """Of a matrix in a product of few rows: of its codes and scales, if it knows some."""
    parts = (weight.codes, weight.scales) if isinstance(weight, PackedParameter) else (weight,)
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
    """Give every matrix of few-row layers codes of 8 bits: weights are rounded to 255 steps of their block.

    For drafters, whose law may be anything: what is emitted has the target's. Products of many rows still
    take the numbers as they are. A matrix whose rows are no whole blocks is left as it is.
    """
    from speclight.models.packed_dots import BLOCK

    for layer in module.modules():
        if isinstance(layer, FewRowsLinear) and layer.weight.shape[1] % BLOCK == 0:
            blocks = layer.weight.detach().float().unflatten(1, (-1, BLOCK))
            steps = blocks.abs().amax(2, keepdim=True) / 127.0
            codes = (blocks / steps.clamp_min(torch.finfo(torch.float32).tiny)).round()
            layer.weight = _packed(layer.weight, 8, codes.flatten(1).to(torch.int8), steps.flatten(1))


def packed_of(weight: torch.Tensor) -> PackedParameter | None:
    """The matrix with its codes, on the same numbers; None if four or eight bits do not say all of it."""
    loops = _loops()
    if weight.dtype != torch.float32 or weight.dim() != 2 or weight.shape[1] % loops.BLOCK or weight.is_meta:
        return None
    numbers, blocks = weight.detach().contiguous().numpy(), weight.shape[1] // loops.BLOCK
    ways: tuple[tuple[Bits, int, int], ...] = ((4, 2, 2), (8, 1, 1))
    for bits, codes_a_byte, scales_a_block in ways:
        codes = np.empty((len(numbers), weight.shape[1] // codes_a_byte), np.uint8)
        scales = np.empty((len(numbers), scales_a_block * blocks), np.float32)
        find = loops.codes_of_four_bits if bits == 4 else loops.codes_of_eight_bits
        if find(numbers, codes, scales):
            return _packed(weight, bits, torch.from_numpy(codes), torch.from_numpy(scales))
    return None


@cache
def _loops() -> ModuleType:
    """Compiled where nothing is kept."""
    with kept_kernels():
        from speclight.models import block_codes
    return block_codes


def _packed(weight: torch.Tensor, bits: Bits, codes: torch.Tensor, scales: torch.Tensor) -> PackedParameter:
    made = PackedParameter(weight.detach(), requires_grad=False)
    made.bits, made.codes, made.scales = bits, codes.contiguous(), scales.contiguous()
    made.packed_version = made._version
    return made
