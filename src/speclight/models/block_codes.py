"""The loops of `packed_weights`: the codes of a matrix, if there are some, and their order in memory.

Compiled when this is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from speclight.models.packed_dots import BLOCK, LANES, WORD

_compiled: Any = njit(cache=True, nogil=True)
# A NaN may be passed over in looking for the least and the most: no code stands for it, which is seen later.
_compiled_without_nan: Any = njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})


@_compiled_without_nan
def _least_and_most(part: Any) -> Any:
    least = most = part[0]
    for place in range(1, BLOCK):
        least, most = min(least, part[place]), max(most, part[place])
    return least, most


@_compiled
def codes_of_four_bits(numbers: Any, codes: Any, scales: Any) -> bool:
    """Fill in codes and scales [out, blocks, 2] of [out, in] float32; False, at the first block without."""
    for row in range(len(numbers)):
        for block in range(numbers.shape[1] // BLOCK):
            part = numbers[row, block * BLOCK : (block + 1) * BLOCK]
            least, most = _least_and_most(part)
            step = _step(part, least, most, codes[row, block * BLOCK : (block + 1) * BLOCK])
            if step < 0.0:
                return False
            scales[row, block, 0], scales[row, block, 1] = step, least
    return True


@_compiled
def _step(part: Any, least: Any, most: Any, own: Any) -> Any:
    """The step between a block's numbers, codes filled in; -1 if no step gives all of them exactly."""
    spread = most - least
    if spread == 0.0:
        return np.float32(0.0) if _filled(part, least, np.float32(1.0), own) else np.float32(-1.0)
    # Nearly always both the first and the last of the sixteen codes are used.
    for steps in range(15, 0, -1):
        step = np.float32(spread / np.float32(steps))
        if _filled(part, least, step, own):
            return step
    return np.float32(-1.0)


@_compiled
def _filled(part: Any, least: Any, step: Any, own: Any) -> bool:
    inverse, wrong = np.float32(1.0) / step, 0
    for place in range(BLOCK):
        code = np.int32((part[place] - least) * inverse + np.float32(0.5))
        own[place] = code
        # In float64 nothing is rounded, so that float32 gives the number whichever way it rounds.
        wrong += np.float64(step) * code + np.float64(least) != np.float64(part[place])
    return wrong == 0


@_compiled
def codes_of_eight_bits(numbers: Any, codes: Any, scales: Any) -> bool:
    """Likewise, a code being a signed number of steps, the only scale."""
    for row in range(len(numbers)):
        for block in range(numbers.shape[1] // BLOCK):
            part = numbers[row, block * BLOCK : (block + 1) * BLOCK]
            least, most = _least_and_most(part)
            step = np.float32(max(most, -least) / np.float32(127.0))
            scales[row, block, 0] = step
            inverse, wrong = np.float32(0.0) if step == 0.0 else np.float32(1.0) / step, 0
            for place in range(BLOCK):
                code = np.int32(np.floor(part[place] * inverse + np.float32(0.5)))
                codes[row, block * BLOCK + place] = np.int8(code)
                wrong += np.float64(step) * code != np.float64(part[place])
            if wrong:
                return False
    return True


@_compiled
def arrange(codes: Any, bits: int, words: Any) -> None:
    """Put the codes [out, in] into words of zeros, see `words_of`."""
    a_word, mask = WORD // bits, (1 << bits) - 1
    for row in range(len(codes)):
        tile, lane = row // LANES, row % LANES
        for place in range(codes.shape[1]):
            block, pair, side = place // BLOCK, place % BLOCK // 2, place % 2
            shift = pair % a_word * bits
            words[tile, block, pair // a_word, lane, side] |= np.uint16((codes[row, place] & mask) << shift)
