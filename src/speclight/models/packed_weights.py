"""Weights that a few bits say exactly, kept in those bits for products of few rows.

A call of few positions is as fast as its weights are read. Weights that come from a file of 4 or 8 bits, like
the default target's Q4_1, are made float32 when they are loaded, five times as much to read. Whether a matrix
is such a one is seen in its numbers: each block of 32 is then a few equal steps. Its codes and steps stand
beside it, and each weight that the products make of them is the float32 number to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from torch import nn

from speclight.models.few_rows import FewRowsLinear
from speclight.models.kernel_cache import kept_kernels

Bits = Literal[4, 8]


class PackedParameter(nn.Parameter):
    """A float32 matrix [out, in] that knows its codes.

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

    In all modules that share it. The numbers are not copied; the codes take a fifth of their memory (4 bits),
    or a bit more than a quarter (8).
    """
    with kept_kernels():
        import speclight.models.block_codes  # noqa: F401 - compiled here, once for all threads

    layers = [layer for layer in module.modules() if isinstance(layer, FewRowsLinear)]
    found = {id(layer.weight): layer.weight for layer in layers}
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # the loops hold no lock
        made = threads.map(packed_of, found.values())
    packed = {key: weight for key, weight in zip(found, made, strict=True) if weight is not None}
    for owner in module.modules():
        for name, weight in owner.named_parameters(recurse=False, remove_duplicate=False):
            if id(weight) in packed:
                setattr(owner, name, packed[id(weight)])


def packed_of(weight: torch.Tensor) -> PackedParameter | None:
    """The matrix with its codes, on the same numbers; None if four or eight bits do not say all of it."""
    from speclight.models.block_codes import BLOCK, codes_of_eight_bits, codes_of_four_bits

    if weight.dtype != torch.float32 or weight.dim() != 2 or weight.shape[1] % BLOCK or weight.is_meta:
        return None
    numbers, blocks = weight.detach().contiguous().numpy(), weight.shape[1] // BLOCK
    ways: tuple[tuple[Bits, int, int], ...] = ((4, 2, 2), (8, 1, 1))
    for bits, codes_a_byte, scales_a_block in ways:
        codes = np.empty((len(numbers), weight.shape[1] // codes_a_byte), np.uint8)
        scales = np.empty((len(numbers), scales_a_block * blocks), np.float32)
        find = codes_of_four_bits if bits == 4 else codes_of_eight_bits
        if find(numbers, codes, scales):
            made = PackedParameter(weight.detach(), requires_grad=False)
            made.bits, made.codes, made.scales = bits, torch.from_numpy(codes), torch.from_numpy(scales)
            made.packed_version = made._version
            return made
    return None
