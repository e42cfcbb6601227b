"""The loops of `compiled_laws`, compiled when this module is imported.

It must not be imported before OpenMP's library is known to the compiler, see `openmp`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from speclight.models.parallel_shares import barrier, share, thread, threads

# NaN and infinities stay what they are. Sums may be taken in any order, but where it is the point of it.
_compiled: Any = njit(fastmath={"contract", "reassoc", "nsz"})
_compiled_in_order: Any = njit(fastmath={"contract"})
_barrier: Any = barrier
_thread: Any = thread
_threads: Any = threads

# Tokens of a law that one thread adds up: sums do not depend on how many threads there are.
PIECE = 4096
# ln 2 in two parts, the first of 32 bits, so that multiples of it are exact (those of fdlibm's exp).
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_PER_LN2 = 1.0 / math.log(2.0)
# Below it a probability beside the largest one is no normal number, and counts as zero.
_LEAST = -708.0
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (
    1.0 / math.factorial(power) for power in range(2, 14)
)
# Of a float64: its exponent's bits begin there, and this is that of 1.
_EXPONENT_AT, _EXPONENT_OF_ONE = 52, 1023


@_compiled_in_order
def _exp(exponent: Any) -> Any:
    """The exponential of a number <= 0, in operations that a processor does for several numbers at once."""
    within = exponent if exponent > _LEAST else _LEAST
    twos = np.floor(within * _PER_LN2 + 0.5)
    rest = (within - twos * _LN2_HIGH) - twos * _LN2_LOW
    upper = _C8 + rest * (_C9 + rest * (_C10 + rest * (_C11 + rest * (_C12 + rest * _C13))))
    series = _C2 + rest * (_C3 + rest * (_C4 + rest * (_C5 + rest * (_C6 + rest * (_C7 + rest * upper)))))
    power = np.int64((np.int64(twos) + _EXPONENT_OF_ONE) << _EXPONENT_AT).view(np.float64)
    return (1.0 + rest * (1.0 + rest * series)) * power if exponent > _LEAST else 0.0


@_compiled
def _weights(scores: Any, largest: float, factor: float, law: Any) -> float:
    """Fill in a piece's weights, 1 for the largest score; their sum."""
    total = 0.0
    for token in range(len(scores)):
        weight = _exp((np.float64(scores[token]) - largest) * factor)
        law[token] = weight
        total += weight
    return total


@_compiled
def _multiply(law: Any, factor: float) -> None:
    for token in range(len(law)):
        law[token] *= factor


@share
def share_of_laws(job: Any) -> None:
    """What one thread does of laws: its share of all pieces.

    job: the addresses of the numbers of rows and tokens, int64; of the factor of all scores and each row's
    largest, float64; of the logits [rows, vocab] float32, the laws [rows, vocab] and the pieces' sums [rows,
    pieces], float64.
    """
    sizes = carray(job[0], (2,), np.int64)
    rows, vocabulary = sizes[0], sizes[1]
    factors = carray(job[1], (1 + rows,), np.float64)
    logits = carray(job[2], (rows, vocabulary), np.float32)
    laws = carray(job[3], (rows, vocabulary), np.float64)
    pieces = (vocabulary + PIECE - 1) // PIECE
    sums = carray(job[4], (rows, pieces), np.float64)
    begin = rows * pieces * _thread() // _threads()
    end = rows * pieces * (_thread() + 1) // _threads()
    for number in range(begin, end):
        row, piece = number // pieces, number % pieces
        start, stop = piece * PIECE, min((piece + 1) * PIECE, vocabulary)
        scores, own = logits[row, start:stop], laws[row, start:stop]
        sums[row, piece] = _weights(scores, factors[1 + row], factors[0], own)
    _barrier()
    for number in range(begin, end):
        row, piece = number // pieces, number % pieces
        total = 0.0
        for other in range(pieces):
            total += sums[row, other]
        _multiply(laws[row, piece * PIECE : min((piece + 1) * PIECE, vocabulary)], 1.0 / total)
