"""Products of rows compiled for this machine: every weight is read once, for several rows.

A call of few positions can be no faster than its weights are read, and should be no slower. Library kernels
take up to twice as long at eight rows (benchmarks/bench_few_rows.py): they are made for many rows. Here each
weight is multiplied with up to eight rows as it arrives. numba compiles the loops for the processor at hand,
once for a machine, and they run in torch's own OpenMP: a second set of threads would fight with the first
for the cores. Sums are taken in another order than elsewhere; they do not depend on the number of threads.

Weights in codes are multiplied as whole numbers with rows that are rounded to 16 bits (`packed_dots`), faster
than float32 ones at any number of rows; a row's products are the same to the bit whatever stands beside it.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate

import torch

from speclight.models.few_rows import Matrices, exchanged_products
from speclight.models.kernel_cache import kept_kernels
from speclight.models.openmp import ParallelLoop, known_to_the_compiler
from speclight.models.packed_weights import PackedParameter, version_of
from speclight.models.row_steps import RowChain, RowNorm, steps_one_by_one

# Of float32 and bfloat16 weights. From about here on the processor's arithmetic is the limit, and library
# kernels use it better.
MOST_ROWS = 32
WEIGHTS = (torch.float32, torch.bfloat16)


def compiled_products(rows: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """See Products. Libraries compute what is not float32, contiguous and free of gradients.

    Weights may be of bfloat16, half as much to read, or know their codes (`packed_weights`), a fifth. Needs
    `has_openmp`.
    """
    kept = weights if isinstance(weights, Matrices) else None
    plan = _planned(kept, weights, lambda: (_Step(weights, None, None),))
    if not plan.can_read(rows) or needs_gradients((rows, *weights)):
        return exchanged_products(rows, weights)
    return plan.computed(rows, None)[0]


def compiled_steps(chain: RowChain, rows: torch.Tensor, added: torch.Tensor | None) -> list[torch.Tensor]:
    """See RowSteps. One by one where the loops are not for them."""
    plan = _planned(
        chain, chain.tensors, lambda: [_Step(step.weights, step.norm, step.bias) for step in chain]
    )
    given = (rows,) if added is None else (rows, added)
    is_readable = plan.can_read(rows) and (added is None or is_plain(added))
    if not is_readable or needs_gradients((*given, *chain.tensors)):
        return _one_by_one(chain, rows, added)
    return plan.computed(rows, added)


_one_by_one = steps_one_by_one(compiled_products)


def _planned(
    kept: Matrices | RowChain | None, tensors: Sequence[torch.Tensor], steps: Callable[[], Sequence[_Step]]
) -> _Plan:
    """The plan that was kept, made anew where one of its tensors was moved or written to."""
    places = [(tensor.data_ptr(), version_of(tensor)) for tensor in tensors]
    if kept is None or kept.known is None or kept.known.places != places:
        plan = _Plan(steps(), places)
        if kept is None:
            return plan
        kept.known = plan
    return kept.known


class _Step:
    """A step as `share_of_steps` wants it. width: of its rows; None if the loops cannot read its numbers.

    outputs: of all matrices. most_rows: that the loops are for. numbers: before the rows come (how many at
    ROWS, whether something is added at ADDED). addresses: before those of rows, output and what is added.
    """

    ROWS, ADDED = 1, 7

    def __init__(
        self, weights: Sequence[torch.Tensor], norm: RowNorm | None, bias: torch.Tensor | None
    ) -> None:
        others = [None if norm is None else norm.weight, bias]
        widths = {weight.shape[1] for weight in weights}
        readable = all(is_plain(weight, WEIGHTS) for weight in weights)
        readable = readable and all(is_plain(other) for other in others if other is not None)
        self.width = widths.pop() if readable and len(widths) == 1 else None
        sizes, held = [weight.shape[0] for weight in weights], [_held(weight) for weight in weights]
        kinds = [kind for kind, _, _ in held]
        self.outputs = sum(sizes)
        self.most_rows: float = math.inf if all(kind in CODED for kind in kinds) else MOST_ROWS
        epsilon = (False, 0) if norm is None else (True, bits_of(norm.epsilon))
        head = (len(weights), 0, self.width or 0, self.outputs, *epsilon, bias is not None, False)
        self.numbers = (*head, *sizes, *kinds)
        given = (0 if other is None else other.data_ptr() for other in others)
        self.addresses = (0, 0, *given, 0, *(address for _, *both in held for address in both))


class _Plan:
    """Steps in a chain, laid out for the loops. places: where their tensors lay, and their versions, then."""

    def __init__(self, steps: Sequence[_Step], places: list[tuple[int, int]]) -> None:
        self.places = places
        widths = [step.width for step in steps]
        fits = [step.outputs for step in steps[:-1]] == widths[1:]
        self._width = widths[0] if fits and None not in widths else None
        self._most_rows = min(step.most_rows for step in steps)
        numbers = [number for step in steps for number in step.numbers]
        self._outputs = [step.outputs for step in steps]
        self._head = (ctypes.c_int64 * (2 + len(numbers)))(2 + len(numbers), len(steps), *numbers)
        addresses = [address for step in steps for address in step.addresses]
        self._job = (ctypes.c_void_p * (1 + len(addresses)))(0, *addresses)
        lengths = ([len(step.numbers) for step in steps], [len(step.addresses) for step in steps])
        self._begins, self._places = (
            list(accumulate(own[:-1], initial=start)) for own, start in zip(lengths, (2, 1), strict=True)
        )

    def can_read(self, rows: torch.Tensor) -> bool:
        """Whether the loops are for these steps and so many rows of this kind."""
        count, width = rows.shape
        return width == self._width and 0 < count <= self._most_rows and is_plain(rows)

    def computed(self, rows: torch.Tensor, added: torch.Tensor | None) -> list[torch.Tensor]:
        """The output of each step."""
        # Copies, since several threads may be at it.
        head, job = type(self._head).from_buffer_copy(self._head), type(self._job).from_buffer_copy(self._job)
        count, outputs = rows.shape[0], []
        for columns, begin, place in zip(self._outputs, self._begins, self._places, strict=True):
            output = rows.new_empty((count, columns))
            head[begin + _Step.ROWS] = count
            job[place], job[place + 1] = rows.data_ptr(), output.data_ptr()
            outputs.append(output)
            rows = output
        if added is not None:
            head[self._begins[0] + _Step.ADDED], job[self._places[0] + 4] = True, added.data_ptr()
        job[0] = ctypes.addressof(head)
        _loops()(job)
        return outputs


@cache
def bits_of(number: float) -> int:
    """The bits of the number in float32, as an integer."""
    return int.from_bytes(struct.pack("=f", number), sys.byteorder)


# What a matrix is made of, in `row_kernels`' numbers.
FLOAT, HALF, FOUR_BITS, EIGHT_BITS = 0, 1, 2, 3
CODED = (FOUR_BITS, EIGHT_BITS)


def _held(weight: torch.Tensor) -> tuple[int, int, int]:
    """What a matrix is made of, and the addresses of that and of its scales."""
    if isinstance(weight, PackedParameter) and weight.is_packed:
        kind = FOUR_BITS if weight.bits == 4 else EIGHT_BITS
        return kind, weight.words.data_ptr(), weight.scales.data_ptr()
    return (HALF if weight.dtype == torch.bfloat16 else FLOAT), weight.data_ptr(), 0


def is_plain(matrix: torch.Tensor, dtypes: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether the loops, which know addresses alone, may read it."""
    return matrix.dtype in dtypes and matrix.is_contiguous() and matrix.device.type == "cpu"


def needs_gradients(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether something computed from these is to be differentiated."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


@cache
def _loops() -> ParallelLoop:
    """Compiled where nothing is kept."""
    with known_to_the_compiler(), kept_kernels():
        from speclight.models.row_kernels import share_of_steps
    return ParallelLoop(share_of_steps.address)
