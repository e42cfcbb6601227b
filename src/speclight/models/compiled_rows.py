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
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

from speclight.models.few_rows import Matrices, exchanged_products
from speclight.models.kernel_cache import kept_kernels
from speclight.models.packed_weights import PackedParameter

# Of float32 and bfloat16 weights. From about here on the processor's arithmetic is the limit, and library
# kernels use it better.
MOST_ROWS = 32
WEIGHTS = (torch.float32, torch.bfloat16)
MAPS = Path("/proc/self/maps")


def compiled_products(rows: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """See Products. Libraries compute what is not float32, contiguous and free of gradients.

    Weights may be of bfloat16, half as much to read, or know their codes (`packed_weights`), a fifth. Needs
    `has_openmp`.
    """
    count, width = rows.shape
    known = _known(weights)
    if not (
        0 < count <= known.most_rows
        and known.width == width
        and _is_plain(rows)
        and not _needs_gradients(weights)
    ):
        return exchanged_products(rows, weights)
    output = rows.new_empty((count, known.outputs))
    numbers = known.numbers(count)
    job = known.job(ctypes.addressof(numbers), rows.data_ptr(), output.data_ptr())
    parallel, share = _region()
    parallel(share, ctypes.addressof(job), torch.get_num_threads(), 0)
    return output


class _Known:
    """What the loops want to know of matrices. width: of all of them; None if the loops cannot read one.

    outputs: of all together. most_rows: that the loops are for. places: where the numbers of each begin, and
    whether it knew its codes.
    """

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        widths = {weight.shape[1] for weight in weights}
        readable = len(widths) == 1 and all(_is_plain(weight, WEIGHTS) for weight in weights)
        self.width, self.places = (widths.pop() if readable else None), _places(weights)
        sizes, held = [weight.shape[0] for weight in weights], [_held(weight) for weight in weights]
        self.outputs = sum(sizes)
        is_coded = all(in_codes for _, in_codes in self.places)
        self.most_rows: float = math.inf if is_coded else MOST_ROWS
        self._head, self._sizes = len(weights), (*sizes, *(kind for kind, _, _ in held))
        self._addresses = tuple(address for _, *addresses in held for address in addresses)
        self._numbers = ctypes.c_int64 * (4 + len(self._sizes))
        self._job = ctypes.c_void_p * (3 + len(self._addresses))

    def numbers(self, count: int) -> ctypes.Array[ctypes.c_int64]:
        """See `multiply_share`."""
        return self._numbers(self._head, count, self.width, self.outputs, *self._sizes)

    def job(self, *addresses: int) -> ctypes.Array[ctypes.c_void_p]:
        """See `multiply_share`. addresses: of the numbers, the rows and the output."""
        return self._job(*addresses, *self._addresses)


def _known(weights: Sequence[torch.Tensor]) -> _Known:
    """What is known of matrices, looked up anew where one was moved or written to."""
    if not isinstance(weights, Matrices):
        return _Known(weights)
    if weights.known is None or weights.known.places != _places(weights):
        weights.known = _Known(weights)
    return weights.known


def _places(weights: Sequence[torch.Tensor]) -> list[tuple[int, bool]]:
    return [
        (weight.data_ptr(), isinstance(weight, PackedParameter) and weight.is_packed) for weight in weights
    ]


def _held(weight: torch.Tensor) -> tuple[int, int, int]:
    """What a matrix is made of, in `row_kernels`' numbers, and the addresses of that and of its scales."""
    if isinstance(weight, PackedParameter) and weight.is_packed:
        return (2 if weight.bits == 4 else 3), weight.words.data_ptr(), weight.scales.data_ptr()
    return int(weight.dtype == torch.bfloat16), weight.data_ptr(), 0


def _is_plain(matrix: torch.Tensor, dtypes: Sequence[torch.dtype] = (torch.float32,)) -> bool:
    """Whether the loops, which know addresses alone, may read it."""
    return (
        matrix.dtype in dtypes
        and matrix.is_contiguous()
        and matrix.device.type == "cpu"
        and not (matrix.requires_grad and torch.is_grad_enabled())
    )


def _needs_gradients(weights: Sequence[torch.Tensor]) -> bool:
    return torch.is_grad_enabled() and any(weight.requires_grad for weight in weights)


def has_openmp() -> bool:
    """Whether torch's threads are those of a GNU OpenMP that can be found in this process."""
    return torch.backends.openmp.is_available() and _openmp_library() is not None


@cache
def _region() -> tuple[Callable[[int, int, int, int], None], int]:
    """OpenMP's parallel region, and the address of what its threads run. Compiles where nothing is cached."""
    from llvmlite import binding

    library = _openmp_library()
    assert library is not None, "asked for where has_openmp says no"
    binding.load_library_permanently(str(library))
    with kept_kernels():
        from speclight.models.row_kernels import multiply_share
    parallel = ctypes.CDLL(str(library)).GOMP_parallel
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return parallel, multiply_share.address


@cache
def _openmp_library() -> Path | None:
    """The GNU OpenMP in use, of several the one that lies beside torch; None where there is none."""
    if not MAPS.exists():
        return None
    words = [line.split(maxsplit=5) for line in MAPS.read_text(encoding="utf-8").splitlines()]
    loaded = {Path(word[5]) for word in words if len(word) == 6 and "libgomp" in word[5]}
    beside = {path for path in loaded if Path(torch.__file__).parent in path.parents}
    found = beside or loaded
    return found.pop() if len(found) == 1 else None
