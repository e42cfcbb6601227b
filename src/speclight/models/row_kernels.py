"""The loops of `compiled_rows`, compiled when this module is imported: numba arrives with it.

It must not be imported before OpenMP's library is known to the compiler, see there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numba.np.numpy_support import carray

from speclight.models.compiled_rows import EIGHT_BITS, FOUR_BITS, HALF
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
from speclight.models.parallel_shares import barrier, share, thread, threads

_compiled: Any = njit(fastmath=True)
_compiled_as_written: Any = njit
_thread: Any = thread
_threads: Any = threads
_barrier: Any = barrier
_address_of: Any = address_of
_round_block: Any = round_block

# Rows of a weight matrix that stay in the nearest caches until all groups of rows have been multiplied.
WEIGHT_ROWS = 32
# Of a step the numbers before those of its matrices, and the addresses before theirs.
HEAD, PLACES = 8, 5
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
    """Columns begin, where a tile begins, to end of the output, [rows, out], see `packed_weights`."""
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
    def multiply(
        numbers: Any, factors: Any, words: Any, scales: Any, output: Any, begin: int, end: int
    ) -> None:
        outputs, beside = output.shape[1], np.empty((len(numbers), LANES), np.float32)
        for start in range(begin, end, LANES):
            is_whole = start + LANES <= outputs
            # Called at one place: a second one would be compiled a second time.
            there, stride = _address_of(beside), LANES
            if is_whole:
                there, stride = _address_of(output[:, start:]), output.strides[0] // FLOAT_BYTES
            tile_products(numbers, factors, words, scales, start // LANES, there, stride)
            if not is_whole:
                for row in range(len(numbers)):
                    for column in range(start, outputs):
                        output[row, column] = beside[row, column - start]

    return multiply


_multiply_four_bits, _multiply_eight_bits = _packed_multiply(4), _packed_multiply(8)


_words_of: Any = _compiled_as_written(words_of)
_scales_a_block: Any = _compiled_as_written(scales_a_block)


@_compiled_as_written
def _coded(held: Any, scales: Any, bits: int, blocks: int, outputs: int) -> Any:
    """Words and scales of a matrix by their addresses."""
    words = carray(held, _words_of(bits, blocks, outputs), np.uint16)
    return words, carray(scales, (len(words), blocks, _scales_a_block(bits), LANES), np.float32)


@_compiled
def _normed(rows: Any, weight: Any, epsilon: Any) -> Any:
    """The rows over their root mean square, times the weight."""
    output = np.empty_like(rows)
    for row in range(len(rows)):
        total = ZERO
        for place in range(len(weight)):
            total += rows[row, place] * rows[row, place]
        factor = np.float32(1.0) / np.sqrt(total / np.float32(len(weight)) + epsilon)
        for place in range(len(weight)):
            output[row, place] = rows[row, place] * factor * weight[place]
    return output


@_compiled
def _add(output: Any, more: Any, start: int, end: int) -> None:
    """Add columns start to end of more, [rows or 1, out]. Written out: slices take long to compile."""
    for row in range(len(output)):
        for column in range(start, end):
            output[row, column] += more[min(row, len(more) - 1), column]


@_compiled_as_written
def _share_of_products(rows: Any, step: Any, job: Any, place: int, output: Any) -> None:
    """A thread's columns of a step's output, see `share_of_steps`."""
    matrices, count, width, biased, added = step[0], step[1], step[2], step[6], step[7]
    blocks = np.int64(0)
    for matrix in range(matrices):
        if step[HEAD + matrices + matrix] >= FOUR_BITS:
            blocks = width // BLOCK
    # Every thread rounds all rows: that takes less time than waiting for others.
    whole, factors = np.empty((count, BLOCK * blocks), np.int16), np.empty((count, blocks, 2), np.float32)
    if blocks:
        _rounded(rows, whole, factors)
    before = 0
    for matrix in range(matrices):
        outputs, kind = step[HEAD + matrix], step[HEAD + matrices + matrix]
        unit = LANES if kind >= FOUR_BITS else 1
        units = (outputs + unit - 1) // unit
        start = units * _thread() // _threads() * unit
        end = min(units * (_thread() + 1) // _threads() * unit, outputs)
        own = output[:, before : before + outputs]
        held, scales = job[place + PLACES + 2 * matrix], job[place + PLACES + 1 + 2 * matrix]
        if kind == HALF:
            _multiply(rows, carray(held, (outputs, width), np.uint16), own, start, end)
        elif kind == FOUR_BITS:
            _multiply_four_bits(whole, factors, *_coded(held, scales, 4, blocks, outputs), own, start, end)
        elif kind == EIGHT_BITS:
            _multiply_eight_bits(whole, factors, *_coded(held, scales, 8, blocks, outputs), own, start, end)
        else:
            _multiply(rows, carray(held, (outputs, width), np.float32), own, start, end)
        if biased:
            bias = carray(job[place + 3], (1, output.shape[1]), np.float32)
            _add(output, bias, before + start, before + end)
        if added:
            _add(output, carray(job[place + 4], output.shape, np.float32), before + start, before + end)
        before += outputs


@share
def share_of_steps(job: Any) -> None:
    """What one thread of a parallel region does of steps (`row_steps`): its share of every matrix's columns.

    job: the address of int64 numbers, how many there are and how many steps, then of each step its matrices,
    rows, width, all matrices' outputs, whether it norms and the bits of epsilon in float32, whether it adds a
    bias and rows, of each matrix its outputs, and of each what it is made of. Then of each step the addresses
    of the rows [rows, width], of the output [rows, all outputs], of the norm's weight, the bias and the added
    rows, and of each matrix of its numbers or words and of its scales, 0 where there is none.
    """
    numbers = carray(job[0], (carray(job[0], (1,), np.int64)[0],), np.int64)
    begin, place = np.int64(2), np.int64(1)  # of the type they keep, else all is compiled twice
    for number in range(numbers[1]):
        if number:
            _barrier()
        matrices = numbers[begin]
        step = numbers[begin : begin + HEAD + 2 * matrices]
        rows = carray(job[place], (step[1], step[2]), np.float32)
        output = carray(job[place + 1], (step[1], step[3]), np.float32)
        if step[4]:
            epsilon = np.int32(step[5]).view(np.float32)
            rows = _normed(rows, carray(job[place + 2], (step[2],), np.float32), epsilon)
        _share_of_products(rows, step, job, place, output)
        begin, place = begin + len(step), place + PLACES + 2 * matrices
