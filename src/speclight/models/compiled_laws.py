"""Laws of many rows of logits by loops compiled for this machine, on all of torch's threads.

As `sampling.processed_probabilities` says it in numpy, but for the last bits.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from speclight.arrays import FloatArray
from speclight.models.kernel_cache import kept_kernels
from speclight.models.openmp import ParallelLoop, has_openmp, known_to_the_compiler

# Of smaller vocabularies numpy's laws are there before a region of threads has begun.
LEAST_VOCABULARY = 8192


def can_compile_laws(logits: npt.NDArray[Any], temperature: float) -> bool:
    """Whether the loops are for [rows, vocab] of this kind at this temperature."""
    return (
        logits.shape[1] >= LEAST_VOCABULARY
        and logits.dtype == np.float32
        and logits.flags.c_contiguous
        and temperature > 0.0
        and math.isfinite(1.0 / temperature)
        and has_openmp()
    )


def compiled_laws(logits: npt.NDArray[np.float32], largest: FloatArray, temperature: float) -> FloatArray:
    """[rows, vocab] the softmax of logits over a temperature, in float64. largest: [rows], finite.

    Needs `can_compile_laws`. Does not depend on the number of threads, nor a row's law on other rows.
    """
    loop, piece = _loops()
    rows, vocabulary = logits.shape
    # numpy asks Linux for huge pages, from 4 MB on: to put them together takes longer than the laws.
    laws = torch.empty(logits.shape, dtype=torch.float64)
    sizes = (ctypes.c_int64 * 2)(rows, vocabulary)
    factors = (ctypes.c_double * (1 + rows))(1.0 / temperature, *largest.tolist())
    sums = (ctypes.c_double * (rows * -(-vocabulary // piece)))()
    held = (logits.__array_interface__["data"][0], laws.data_ptr())
    loop(
        (ctypes.c_void_p * 5)(
            ctypes.addressof(sizes), ctypes.addressof(factors), *held, ctypes.addressof(sums)
        )
    )
    return laws.numpy()


@cache
def _loops() -> tuple[ParallelLoop, int]:
    """The loop and its piece; compiled where nothing is kept."""
    with known_to_the_compiler(), kept_kernels():
        from speclight.models.law_kernels import PIECE, share_of_laws
    return ParallelLoop(share_of_laws.address), PIECE
