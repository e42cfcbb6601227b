"""The loops of `compiled_attention`, compiled when this module is imported.

It must not be imported before OpenMP's library is known to the compiler, see `openmp`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from speclight.models.attention_dots import ROWS, mix_values, score_slots, weigh_slots
from speclight.models.compiled_attention import PART, SLOTS
from speclight.models.packed_dots import address_of
from speclight.models.parallel_shares import share, thread, threads

_compiled: Any = njit
_address_of: Any = address_of
_score_slots: Any = score_slots
_weigh_slots: Any = weigh_slots
_mix_values: Any = mix_values
_thread: Any = thread
_threads: Any = threads
# Numbers at the beginning of a job.
NUMBERS = 10


@_compiled
def _unmasked(mask: Any) -> int:
    """How many slots at the beginning all rows of a mask [new, slots] see, nothing added."""
    clear = mask.shape[1]
    for row in range(len(mask)):
        own, place = mask[row], 0
        while place < clear and own[place] == 0.0:
            place += 1
        clear = place
    return clear


@_compiled
def _attend(queries: Any, keys: Any, values: Any, mask: Any, clear: int, first: int, output: Any) -> None:
    """Attention of ROWS rows of one group from the first on; of rows behind the last, that one again.

    queries: [size, ROWS], scaled. keys, values: [slots, size]. output: [size, ROWS].
    """
    slots, size = keys.shape
    new = len(mask)
    scores, sums = np.empty((slots, ROWS), np.float32), np.empty(ROWS, np.float32)
    for block in range(0, slots, SLOTS):
        begin = min(block, slots - SLOTS)  # the last block begins within the one before
        own, into = keys[begin:], scores[begin:]
        _score_slots(_address_of(queries), _address_of(own), np.int64(size), _address_of(into))
    for slot in range(clear, slots):
        for row in range(ROWS):
            scores[slot, row] += mask[(first + row) % new, slot]
    _weigh_slots(_address_of(scores), np.int64(slots), _address_of(sums))
    for begin in range(0, size, PART):
        part, mixed = values[:, begin:], output[begin:]
        _mix_values(
            _address_of(scores),
            _address_of(part),
            np.int64(size),
            np.int64(slots),
            _address_of(sums),
            _address_of(mixed),
        )


@share
def share_of_attention(job: Any) -> None:
    """What one thread does of an attention: its share of all groups' rows, ROWS at a time.

    job: the addresses of numbers, int64: query heads, groups, new tokens, slots, head size, what lies between
    the queries of heads and of tokens, between groups of keys and of values, and the bits of the scale in
    float32; of queries, keys, values, the mask [new, slots] and the output [new, heads, size].
    """
    numbers = carray(job[0], (NUMBERS,), np.int64)
    heads, groups, new, slots, size = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    per_head, per_token, per_keys, per_values = numbers[5], numbers[6], numbers[7], numbers[8]
    scale = np.int32(numbers[9]).view(np.float32)
    queries = carray(job[1], ((heads - 1) * per_head + (new - 1) * per_token + size,), np.float32)
    keys = carray(job[2], ((groups - 1) * per_keys + slots * size,), np.float32)
    values = carray(job[3], ((groups - 1) * per_values + slots * size,), np.float32)
    mask = carray(job[4], (new, slots), np.float32)
    output = carray(job[5], (new, heads, size), np.float32)
    of_group = heads // groups
    rows = of_group * new
    units = (rows + ROWS - 1) // ROWS
    clear = _unmasked(mask)
    own, mixed = np.empty((size, ROWS), np.float32), np.empty((size, ROWS), np.float32)
    for unit in range(
        groups * units * _thread() // _threads(), groups * units * (_thread() + 1) // _threads()
    ):
        group, first = unit // units, unit % units * ROWS
        for row in range(ROWS):
            place = min(first + row, rows - 1)
            begin = (group * of_group + place // new) * per_head + place % new * per_token
            for number in range(size):
                own[number, row] = queries[begin + number] * scale
        of_keys = keys[group * per_keys : group * per_keys + slots * size].reshape(slots, size)
        of_values = values[group * per_values : group * per_values + slots * size].reshape(slots, size)
        _attend(own, of_keys, of_values, mask, clear, first, mixed)
        for row in range(min(ROWS, rows - first)):
            place = first + row
            into = output[place % new, group * of_group + place // new]
            for number in range(size):
                into[number] = mixed[number, row]
