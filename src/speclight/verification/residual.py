"""What a target law has left to serve after a candidate was rejected."""

from __future__ import annotations

import numpy as np

from speclight.arrays import FloatArray


def residual_law(target: FloatArray, served: FloatArray) -> FloatArray:
    """(target - served)_+ normalised, [vocab]; `target` itself where nothing is left.

    Nothing left means that the candidate is accepted with certainty: the residual is then reached by
    rounding alone, with a chance of about 1e-16, and any law will do.
    """
    left = np.maximum(target - served, 0.0)
    mass = float(left.sum())
    return left / mass if mass > 0.0 else target
