"""Entropies and distances of token laws. Natural logarithms and float64; bits only at the two converters.

Every function takes laws along the last axis, [..., vocabulary], and returns one number per law, [...].
Zero probabilities contribute nothing (0 ln 0 = 0).
"""

from __future__ import annotations

from math import log

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput

# A float32 softmax over 152,000 logits, summed in float64, misses 1 by about 1e-7; a law that misses it
# by more than ten times that has been truncated or is not a law.
SUM_ATOL = 1e-6


def check_laws(laws: npt.ArrayLike) -> FloatArray:
    """The laws as float64, unchanged in value.

    Raises InvalidInput if one is negative, not a number, or does not sum to 1 within SUM_ATOL; nothing is
    renormalised.
    """
    checked = np.asarray(laws, dtype=np.float64)
    if checked.ndim == 0 or checked.shape[-1] == 0:
        raise InvalidInput(f"token laws need a token along the last axis, got shape {checked.shape}")
    if not (checked >= 0.0).all():  # also catches NaN
        raise InvalidInput("token laws must be >= 0 and not NaN; apply the softmax before calling")
    sums = checked.sum(axis=-1)
    worst = float(np.abs(sums - 1.0).max(initial=0.0))
    if worst > SUM_ATOL:
        raise InvalidInput(
            f"token laws must sum to 1 within {SUM_ATOL:g}, got one that misses it by {worst:.3g}; "
            "renormalise after truncating to top-k or top-p"
        )
    return checked


def surprisals(laws: npt.ArrayLike) -> FloatArray:
    """-ln p of every token, nats, never below 0; infinite where p = 0. Shape of `laws`."""
    probabilities = np.asarray(laws, dtype=np.float64)
    result = np.full(probabilities.shape, np.inf)
    np.log(probabilities, out=result, where=probabilities > 0.0)
    np.negative(result, out=result, where=probabilities > 0.0)
    return np.maximum(result, 0.0)  # a law that sums to 1 + 1e-7 may hold a token above 1


def entropy(laws: npt.ArrayLike) -> FloatArray:
    """H(p) = -sum p ln p, nats. Raises InvalidInput for what is no law."""
    return _log_moment(check_laws(laws), power=1)


def second_log_moment(laws: npt.ArrayLike) -> FloatArray:
    """The sum of p (ln p)^2, nats^2, whose mean is mu2. Raises InvalidInput for what is no law."""
    return _log_moment(check_laws(laws), power=2)


def cross_entropy(laws: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """-sum p ln q, nats; infinite where p > 0 = q. Raises InvalidInput for what is no law."""
    first, second = _pair(laws, other)
    lengths = surprisals(second)
    return np.multiply(first, lengths, out=np.zeros_like(first), where=first > 0.0).sum(axis=-1)


def kl_divergence(laws: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """The sum of p ln(p/q), nats, >= 0; infinite where p > 0 = q. Raises InvalidInput for what is no law."""
    first, second = _pair(laws, other)
    own, foreign = surprisals(first), surprisals(second)
    gap = np.subtract(foreign, own, out=np.zeros_like(first), where=first > 0.0)
    # Two laws that each sum to 1 only up to rounding can give a tiny negative sum.
    return np.maximum(np.multiply(first, gap, out=np.zeros_like(first), where=first > 0.0).sum(axis=-1), 0.0)


def total_variation(laws: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """Half of the sum of |p - q|, in [0, 1]. Raises InvalidInput for what is no law."""
    first, second = _pair(laws, other)
    return 0.5 * np.abs(first - second).sum(axis=-1)


def overlap(laws: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
    """The sum of min(p, q) = 1 - total variation. Raises InvalidInput for what is no law."""
    first, second = _pair(laws, other)
    return np.minimum(first, second).sum(axis=-1)


def nats_to_bits(nats: float) -> float:
    """The same information in bits, for display."""
    return nats / log(2.0)


def bits_to_nats(bits: float) -> float:
    """The same information in nats."""
    return bits * log(2.0)


def _log_moment(laws: FloatArray, power: int) -> FloatArray:
    lengths = surprisals(laws)
    powered = np.power(lengths, power, out=np.zeros_like(laws), where=laws > 0.0)
    return (laws * powered).sum(axis=-1)


def _pair(laws: npt.ArrayLike, other: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = check_laws(laws), check_laws(other)
    if first.shape[-1] != second.shape[-1]:
        raise InvalidInput(
            f"two laws are compared token by token, got vocabularies of {first.shape[-1]} and "
            f"{second.shape[-1]} tokens; map one vocabulary onto the other first"
        )
    first, second = np.broadcast_arrays(first, second)
    return first, second
