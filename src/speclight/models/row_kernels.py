"""The loops of `compiled_rows`, compiled when this module is imported: numba arrives with it.

It must not be imported before OpenMP's library is known to the compiler, see there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, njit, types
from numba.extending import overload
from numba.np.numpy_support import carray

from speclight.models.packed_dots import (
    BLOCK,
    GROUP,
    LANES,
    address_of,
    packed_dots,
    round_block,
    scales_a_block,
    words_of,
)

_compiled: Any = njit(fastmath=True)
_compiled_as_written: Any = njit
_thread: Any = types.ExternalFunction("omp_get_thread_num", types.int32())
_threads: Any = types.ExternalFunction("omp_get_num_threads", types.int32())
_address_of: Any = address_of
_round_block: Any = round_block
_addresses: Any = types.CPointer(types.voidptr)

# Rows of a weight matrix that stay in the nearest caches until all groups of rows have been multiplied.
WEIGHT_ROWS = 32
# Numbers in a job's first array before those of its matrices.
HEAD = 4
# What a matrix is made of.
FLOAT, HALF, FOUR_BITS, EIGHT_BITS = 0, 1, 2, 3
ZERO = np.float32(0.0)
FLOAT_BYTES = 4


def _factor(number: Any) -> Any:
    """A weight as it is multiplied: itself. Compiled, `_factor_of` says so by its type."""
    return number


def _widened(number: Any) -> Any:
    """The float32 that begins with the 16 bits of a bfloat16."""
    return np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)


@overload(_factor, jit_options={"fastmath": True})
def _factor_of(number: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
    return _widened if number == types.uint16 else _factor


@_compiled
def _dot(weight: Any, rows: Any, first: int) -> Any:
    row, total = rows[first], ZERO
    for place in range(len(weight)):
        total += _factor(weight[place]) * row[place]
    return total


@_compiled
def _four_dots(weight: Any, rows: Any, first: int) -> Any:
    """Of rows that do not exist the last one takes the place."""
    last = len(rows) - 1
    row_0, row_1 = rows[first], rows[min(first + 1, last)]
    row_2, row_3 = rows[min(first + 2, last)], rows[min(first + 3, last)]
    sum_0 = sum_1 = sum_2 = sum_3 = ZERO
    for place in range(len(weight)):
        factor = _factor(weight[place])
        sum_0 += factor * row_0[place]
        sum_1 += factor * row_1[place]
        sum_2 += factor * row_2[place]
        sum_3 += factor * row_3[place]
    return sum_0, sum_1, sum_2, sum_3


@_compiled
def _eight_dots(weight: Any, rows: Any, first: int) -> Any:
    last = len(rows) - 1
    row_0, row_1 = rows[first], rows[min(first + 1, last)]
    row_2, row_3 = rows[min(first + 2, last)], rows[min(first + 3, last)]
    row_4, row_5 = rows[min(first + 4, last)], rows[min(first + 5, last)]
    row_6, row_7 = rows[min(first + 6, last)], rows[min(first + 7, last)]
    sum_0 = sum_1 = sum_2 = sum_3 = sum_4 = sum_5 = sum_6 = sum_7 = ZERO
    for place in range(len(weight)):
        factor = _factor(weight[place])
        sum_0 += factor * row_0[place]
        sum_1 += factor * row_1[place]
        sum_2 += factor * row_2[place]
        sum_3 += factor * row_3[place]
        sum_4 += factor * row_4[place]
        sum_5 += factor * row_5[place]
        sum_6 += factor * row_6[place]
        sum_7 += factor * row_7[place]
    return sum_0, sum_1, sum_2, sum_3, sum_4, sum_5, sum_6, sum_7


@_compiled
def _multiply(rows: Any, weight: Any, output: Any, start: int, end: int) -> None:
    """Columns start to end of the output, [rows, out]."""
    count = len(rows)
    for block in range(start, end, WEIGHT_ROWS):
        block_end = min(block + WEIGHT_ROWS, end)
        for first in range(0, count, 8):
            left = count - first
            for column in range(block, block_end):
                if left == 1:
                    output[first, column] = _dot(weight[column], rows, first)
                elif left <= 4:
                    four = _four_dots(weight[column], rows, first)
                    for row in range(left):
                        output[first + row, column] = four[row]
                else:
                    eight = _eight_dots(weight[column], rows, first)
                    for row in range(min(left, 8)):
                        output[first + row, column] = eight[row]


@_compiled_as_written
def _rounded(rows: Any, numbers: Any, factors: Any) -> None:
    """Fill in the whole numbers of rows [rows, in] and their blocks' factors [rows, blocks, 2]."""
    given, there, by = _address_of(rows), _address_of(numbers), _address_of(factors)
    for block in range(rows.size // BLOCK):
        _round_block(given, there, by, block)


def _packed_multiply(bits: int) -> Any:
    """A thread's share of the output, [rows, out], of a matrix in codes, see `packed_weights`."""
    one, two, three, four, six, eight = (packed_dots(bits, rows) for rows in (1, 2, 3, 4, 6, GROUP))

    @_compiled_as_written
    def tile_products(
        numbers: Any, factors: Any, words: Any, scales: Any, tile: int, output: Any, stride: int
    ) -> None:
        """Of one tile. output: the address of the first product."""
        count, blocks = len(numbers), factors.shape[1]
        own, steps, given, by = (
            _address_of(words),
            _address_of(scales),
            _address_of(numbers),
            _address_of(factors),
        )
        for first in range(0, count, GROUP):
            left, last = count - first, np.int64(count - 1)
            if left == 1:
                one(own, steps, tile, blocks, given, by, first, last, output, stride)
            elif left == 2:
                two(own, steps, tile, blocks, given, by, first, last, output, stride)
            elif left == 3:
                three(own, steps, tile, blocks, given, by, first, last, output, stride)
            elif left == 4:
                four(own, steps, tile, blocks, given, by, first, last, output, stride)
            elif left <= 6:
                six(own, steps, tile, blocks, given, by, first, last, output, stride)
            else:
                eight(own, steps, tile, blocks, given, by, first, last, output, stride)

    @_compiled_as_written
    def multiply(numbers: Any, factors: Any, words: Any, scales: Any, output: Any, share: Any) -> None:
        """share: the thread's number and how many there are."""
        tiles, outputs = len(words), output.shape[1]
        for tile in range(tiles * share[0] // share[1], tiles * (share[0] + 1) // share[1]):
            start = tile * LANES
            if start + LANES <= outputs:
                there, stride = output[:, start:], output.strides[0] // FLOAT_BYTES
                tile_products(numbers, factors, words, scales, tile, _address_of(there), stride)
            else:
                made = np.empty((len(numbers), LANES), np.float32)
                tile_products(numbers, factors, words, scales, tile, _address_of(made), LANES)
                output[:, start:] = made[:, : outputs - start]

    return multiply


_multiply_four_bits, _multiply_eight_bits = _packed_multiply(4), _packed_multiply(8)


_words_of: Any = _compiled_as_written(words_of)
_scales_a_block: Any = _compiled_as_written(scales_a_block)


@_compiled_as_written
def _coded(held: Any, scales: Any, bits: int, blocks: int, outputs: int) -> Any:
    """Words and scales of a matrix by their addresses."""
    words = carray(held, _words_of(bits, blocks, outputs), np.uint16)
    return words, carray(scales, (len(words), blocks, _scales_a_block(bits), LANES), np.float32)


_region: Any = cfunc(types.void(_addresses), cache=True)


@_region
def multiply_share(job: Any) -> None:
    """What one thread of a parallel region does of a job: its share of every matrix's output columns.

    job: addresses of int64 numbers (matrices, rows, width, all matrices' outputs, of each its outputs, and of
    each what it is made of), of the rows [rows, width], of the output [rows, all outputs], and of each matrix
    its numbers or codes [outputs, ...] and its scales, if it has some.
    """
    head = carray(job[0], (HEAD,), np.int64)
    matrices, count, width, total = head[0], head[1], head[2], head[3]
    numbers = carray(job[0], (HEAD + 2 * matrices,), np.int64)
    rows = carray(job[1], (count, width), np.float32)
    output = carray(job[2], (count, total), np.float32)
    blocks = width // BLOCK if numbers[HEAD + matrices :].max() >= FOUR_BITS else 0
    # Every thread rounds all rows: that takes less time than waiting for others.
    whole, factors = np.empty((count, BLOCK * blocks), np.int16), np.empty((count, blocks, 2), np.float32)
    if blocks:
        _rounded(rows, whole, factors)
    share = _thread(), _threads()
    before = 0
    for matrix in range(matrices):
        outputs = numbers[HEAD + matrix]
        own = output[:, before : before + outputs]
        start, end = outputs * share[0] // share[1], outputs * (share[0] + 1) // share[1]
        kind, held, scales = numbers[HEAD + matrices + matrix], job[3 + 2 * matrix], job[4 + 2 * matrix]
        if kind == HALF:
            _multiply(rows, carray(held, (outputs, width), np.uint16), own, start, end)
        elif kind == FOUR_BITS:
            _multiply_four_bits(whole, factors, *_coded(held, scales, 4, blocks, outputs), own, share)
        elif kind == EIGHT_BITS:
            _multiply_eight_bits(whole, factors, *_coded(held, scales, 8, blocks, outputs), own, share)
        else:
            _multiply(rows, carray(held, (outputs, width), np.float32), own, start, end)
        before += outputs
