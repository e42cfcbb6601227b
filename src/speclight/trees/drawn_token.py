"""A token drawn from a law by the inverse of the cumulated law."""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray

# Tokens that are added up together; only those of the block that is hit are added up one by one.
BLOCK = 256


def drawn_token(law: FloatArray, uniform: float) -> int:
    """The token that owns a point of the cumulated law, [vocab], at `uniform` in [0, 1) of its total.

    Tokens of probability zero own an empty interval and are never returned.
    """
    whole = len(law) // BLOCK * BLOCK
    sums: FloatArray = np.append(law[:whole].reshape(-1, BLOCK).sum(axis=1), law[whole:].sum())
    bounds: FloatArray = np.cumsum(sums)
    position = uniform * float(bounds[-1])
    # uniform * total can round up to the total: the last token of positive weight owns that point.
    block = min(int(bounds.searchsorted(position, side="right")), int(np.argmax(bounds == bounds[-1])))
    begin = block * BLOCK
    own = law[begin : begin + BLOCK]
    within = position - (float(bounds[block - 1]) if block else 0.0)
    token = int(np.cumsum(own).searchsorted(within, side="right"))
    # So it is with a block's own total, whose parts are not added up in the same order.
    return begin + (token if token < len(own) else int(np.flatnonzero(own)[-1]))
