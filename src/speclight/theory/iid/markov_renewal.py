"""The renewal computation with context types: a Markov-modulated step law, as a matrix.

C_ij(k) is the expected number of tokens of a type-i context with surprisal in bin k that lead to a
type-j context. E_i N(t) then sums matrix convolutions instead of scalar ones. With one type this is the
renewal bound; with several it is a model of a real target, and a bound only if the type carries all that
matters for the future. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speclight.arrays import ComplexArray, FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_node_budget
from speclight.theory.iid.lattice import counted_to_budget, damping_for
from speclight.theory.iid.renewal import NodeCount
from speclight.theory.information import SUM_ATOL
from speclight.theory.laws.step_law import STORED_RANGE, bin_of, check_width

# 2^-9 nats: 1,000 bins reach past ln 1024 = 6.9 nats only at 2^-7; a kernel of types^2 entries per bin is
# kept this coarse by default because sampled transitions, not the lattice, limit its accuracy.
DEFAULT_WIDTH = 2.0**-9


@dataclass(frozen=True, slots=True, eq=False)  # array field: compare with np.array_equal, not ==
class MarkovKernel:
    """Expected tokens per bin from each type to each type.

    width: nats per bin, positions rounded down. counts: [types, types, bins], counts[i, j, k] for tokens
    of a type-i context in bin k whose next context has type j. Tokens that end the text are in no entry.
    Raises InvalidInput for other shapes, negative counts, or a type whose tokens have total probability
    above 1. The array is copied and made read-only.
    """

    width: float
    counts: FloatArray

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=np.float64)
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)
        check_width(self.width)
        if counts.ndim != 3 or counts.shape[0] != counts.shape[1] or 0 in counts.shape:
            raise InvalidInput(f"a Markov kernel is [types, types, bins], got shape {counts.shape}")
        if not ((counts >= 0.0) & np.isfinite(counts)).all():
            raise InvalidInput("expected counts are finite and >= 0; check the accumulation")
        # A token in bin k has probability above e^-((k+1) width): a lower value of the total mass.
        mass = counts.sum(axis=1) @ np.exp(-self.width * (1.0 + _bin_numbers(counts)))
        if (mass > 1.0 + SUM_ATOL).any():
            raise InvalidInput(
                f"type {int(mass.argmax())} has tokens of total probability at least {mass.max():.6g}; "
                "divide the sums by the number of contexts of the type"
            )

    @property
    def types(self) -> int:
        """Number of context types."""
        return self.counts.shape[0]


def kernel_from_transitions(
    sampled: npt.ArrayLike,
    context_types: npt.ArrayLike,
    next_types: npt.ArrayLike,
    *,
    types: int,
    ends: npt.ArrayLike | None = None,
    width: float = DEFAULT_WIDTH,
) -> MarkovKernel:
    """The kernel from sampled text: C_ij(k) = mean over type-i contexts of e^x for x in bin k, next type j.

    sampled: [tokens] surprisals, nats, each under the law it was sampled from. context_types, next_types:
    [tokens] in 0..types-1, of the context before and after the token. ends: [tokens] True where the token
    ended the text (its next type is not read). Raises InvalidInput for other shapes or values, or a type
    that no context has.
    """
    values = np.maximum(np.asarray(sampled, dtype=np.float64), 0.0)
    before, after = np.asarray(context_types, dtype=np.int64), np.asarray(next_types, dtype=np.int64)
    ended = np.zeros(values.shape, dtype=np.bool_) if ends is None else np.asarray(ends, dtype=np.bool_)
    if values.ndim != 1 or not before.shape == after.shape == ended.shape == values.shape:
        raise InvalidInput(
            f"transitions need equally long 1-d arrays, got shapes {values.shape}, {before.shape}, "
            f"{after.shape} and {ended.shape}"
        )
    if not np.isfinite(values).all():
        raise InvalidInput("sampled surprisals must be finite: a sampled token has positive probability")
    read = np.where(ended, 0, after)
    for name, labels in (("context", before), ("next", read)):
        if ((labels < 0) | (labels >= types)).any():
            raise InvalidInput(f"{name} types must lie in 0..{types - 1}, got {labels.min()}..{labels.max()}")
    contexts = np.bincount(before, minlength=types)
    if (contexts == 0).any():
        raise InvalidInput(f"type {int(contexts.argmin())} has no context; use fewer types or more text")
    kept = ~ended & (values < STORED_RANGE)
    bins = int(bin_of(values[kept], check_width(width)).max(initial=0)) + 1
    cell = (before[kept] * types + after[kept]) * bins + bin_of(values[kept], width)
    sums = np.bincount(cell, weights=np.exp(values[kept]), minlength=types * types * bins)
    return MarkovKernel(width, sums.reshape(types, types, bins) / contexts[:, None, None])


def coarsened_kernel(kernel: MarkovKernel, factor: int) -> MarkovKernel:
    """The same kernel on bins `factor` times as wide, positions still rounded down."""
    if factor < 1:
        raise InvalidInput(f"bins can only be joined, got a factor of {factor}; give an integer >= 1")
    starts = _bin_numbers(kernel.counts)[::factor].astype(np.int64)
    return MarkovKernel(kernel.width * factor, np.add.reduceat(kernel.counts, starts, axis=2))


def markov_node_counts(kernel: MarkovKernel, node_budget: int) -> tuple[NodeCount, ...]:
    """Per start type i, min(P, E_i N'(t)) on the kernel's lattice, depths below P, out to where P is reached.

    A kernel whose bin-0 matrix has spectral radius >= 1 (in some cycle of types the lattice cannot tell the
    tokens from certain ones) gives P everywhere; a finer width removes that unless the text is certain.
    """
    budget = check_node_budget(node_budget)
    nodes = counted_to_budget(budget, kernel.width, lambda bins: capped_type_counts(kernel, budget, bins))
    return tuple(NodeCount(kernel.width, row, budget, halvings_agree=False) for row in nodes)


def capped_type_counts(kernel: MarkovKernel, node_budget: int, bins: int) -> FloatArray:
    """[types, bins] min(P, E_i N') with depths below P: matrix convolutions summed over end types, bins."""
    budget = check_node_budget(node_budget)
    kept = kernel.counts[:, :, :bins]
    if _spectral_radius(kept[:, :, 0]) >= 1.0:
        return np.full((kernel.types, bins), float(budget))
    positions = kernel.width * _bin_numbers(kept)
    damping = damping_for(
        bins, kernel.width, lambda theta: _spectral_radius(kept @ np.exp(-theta * positions))
    )
    # [frequencies, types, types]: one small matrix per frequency
    ratio: ComplexArray = np.moveaxis(np.fft.rfft(damping.damped(kept), damping.length, axis=2), 2, 0)
    renewal = np.fft.irfft(_row_sums_of_powers(ratio, budget).T, damping.length, axis=1)[:, :bins]
    return damping.summed(renewal, budget)


def markov_renewal(kernel: MarkovKernel, start_types: npt.ArrayLike, node_budget: int) -> Bound:
    """sum_i w_i int_0^inf e^-t min(P, E_i N(t)) dt: the tokens per call of the Markov-modulated model.

    start_types: [types] probabilities w_i of the context a call starts from; the value holds for that
    start law. Source: ours. Raises InvalidInput for a budget out of range or start_types that are no law
    over the kernel's types.
    """
    shares = np.asarray(start_types, dtype=np.float64)
    if shares.shape != (kernel.types,) or not (shares >= 0.0).all() or abs(shares.sum() - 1.0) > SUM_ATOL:
        raise InvalidInput(
            f"start_types must be a law over {kernel.types} types, got shape {shares.shape} with sum "
            f"{shares.sum():.6g}"
        )
    counts = markov_node_counts(kernel, node_budget)
    value = float(shares @ np.array([count.integral for count in counts]))
    return Bound(
        name="markov_renewal",
        value=min(value, float(node_budget)),
        side="upper",
        assumptions=(
            Assumption.DETERMINISTIC_DRAFTING,
            Assumption.SUFFICIENT_TYPES,
            Assumption.SAME_START_LAW,
        ),
        source="ours",
        origin="ours",
        validity=f"every P >= 1; {kernel.types} types, lattice of {kernel.width:.3g} nats",
    )


def _row_sums_of_powers(ratio: ComplexArray, terms: int) -> ComplexArray:
    """[frequencies, types] row sums of I + Z + ... + Z^(terms-1), by doubling, without inverting I - Z."""
    total = np.ones((*ratio.shape[:2], 1), dtype=np.complex128)
    power = ratio
    remaining = bin(terms)[3:]
    for place, bit in enumerate(remaining):
        total = total + power @ total
        if bit == "1":
            total = 1.0 + ratio @ total
        if place + 1 < len(remaining):
            power = power @ power
            if bit == "1":
                power = power @ ratio
    return total[:, :, 0]


def _spectral_radius(matrix: FloatArray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def _bin_numbers(counts: FloatArray) -> FloatArray:
    bins: int = counts.shape[2]
    return np.arange(bins, dtype=np.float64)
