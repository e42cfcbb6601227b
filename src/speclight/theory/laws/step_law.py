"""The step law: how much surprisal one token adds when the target itself writes.

F(dx) = E[sum_u p_u delta_{-ln p_u}(dx)] over contexts: the increment law of the branching random walk's
spine (arXiv 2512.11718v1, Lemma 2 at theta = 1). Its mean is mu, its second moment mu2. It is kept on a
lattice of positions rounded DOWN, as mass per bin and, because bounds from it must not depend on the
rounding, as count per bin: the expected number of tokens (not their probability) whose surprisal falls
there. Raw vocabulary-sized rows are not kept; one fine lattice is, and coarser ones are sums of its bins
(floor(floor(x/w)/j) = floor(x/(j w))), which is all that a rule of successive halvings needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_moments
from speclight.theory.information import SUM_ATOL, check_laws, surprisals

# 2^-14 nats. Rounding down shortens the mean step by about half a bin: 0.03% of 0.1 nats per token, which
# is below every entropy in the paper's Table 1.
FINEST_WIDTH = 2.0**-14
# Tokens above it are in mu and mu2 but in no bin: a bound at P nodes treats what lies past 48 nats as
# reached, which adds at most P e^-48, below float64 resolution for P up to 10^5 and below 1e-9 up to 10^11.
STORED_RANGE = 48.0
# -ln(1/2)/ln 2 may come out as 0.999...: without a guard a law on a lattice would fall one bin short.
FLOOR_GUARD = 1e-12
# mass_k e^(k w) <= count_k <= mass_k e^((k+1) w) holds token by token; float64 sums of 10^6 terms and the
# guard above stay far within this relative slack.
CONSISTENCY_RTOL = 1e-6

_CHUNK = 1 << 22  # probabilities converted at once: 32 MB of float64 whatever the vocabulary


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class StepLaw:
    """The size-biased law of -ln p on a lattice.

    width: nats per bin. mass: [bins] probability that the sampled token's surprisal falls into bin k.
    counts: [bins] expected number of tokens whose surprisal falls into bin k. mu, mu2: mean (nats) and
    second moment (nats^2) of the unrounded surprisal. tokens: contexts, or sampled tokens, behind it.
    vocabulary_size: largest number of tokens with positive probability seen at a context, None if unknown
    (sampled surprisals do not tell).

    End of text counts in mu and mu2 but is never a node: it is in no bin, so the mass may sum to less
    than 1. Raises InvalidInput if the fields contradict each other. The arrays are copied, read-only.
    """

    width: float
    mass: FloatArray
    counts: FloatArray
    mu: float
    mu2: float
    tokens: int
    vocabulary_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("mass", "counts"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "mu2", check_moments(self.mu, self.mu2))
        _check(self)

    def __len__(self) -> int:
        return len(self.mass)


def bin_of(surprisal: npt.ArrayLike, width: float) -> IntArray:
    """Bin of each surprisal (nats), rounded down: floor(x/width + FLOOR_GUARD), never below 0."""
    scaled = np.asarray(surprisal, dtype=np.float64) / width + FLOOR_GUARD
    return np.maximum(np.floor(scaled), 0.0).astype(np.int64)


def from_laws(
    laws: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    width: float = FINEST_WIDTH,
    end_tokens: Sequence[int] = (),
) -> StepLaw:
    """The step law from full probability rows: the low-variance estimate.

    laws: [contexts, vocabulary]. weights: [contexts], >= 0, equal if not given. end_tokens: ids that end
    the text, counted in mu and mu2 only. Raises InvalidInput for what is no law, negative or all-zero
    weights.
    """
    rows = np.asarray(laws)
    if rows.ndim != 2 or rows.shape[0] == 0:
        raise InvalidInput(f"step laws are made from rows [contexts, vocabulary], got shape {rows.shape}")
    share = _normalised_weights(weights, rows.shape[0])
    bins = int(STORED_RANGE / check_width(width))
    mass, counts = np.zeros(bins), np.zeros(bins)
    mu, mu2, support = 0.0, 0.0, 0
    step = max(1, _CHUNK // rows.shape[1])
    for first in range(0, rows.shape[0], step):
        part = check_laws(rows[first : first + step])
        part_share = np.broadcast_to(share[first : first + step, None], part.shape)
        lengths = surprisals(part)
        present = part > 0.0
        weighted = np.where(present, part * part_share, 0.0)
        finite = np.where(present, lengths, 0.0)
        mu += float((weighted * finite).sum())
        mu2 += float((weighted * finite**2).sum())
        support = max(support, int(present.sum(axis=1).max()))
        present[:, list(end_tokens)] = False
        present &= lengths < STORED_RANGE
        bin_index = bin_of(lengths[present], width)
        mass += np.bincount(bin_index, weights=weighted[present], minlength=bins)[:bins]
        counts += np.bincount(bin_index, weights=part_share[present], minlength=bins)[:bins]
    return _trimmed(width, mass, counts, mu, mu2, rows.shape[0], support)


def from_surprisals(
    sampled: npt.ArrayLike,
    *,
    ends: npt.ArrayLike | None = None,
    width: float = FINEST_WIDTH,
) -> StepLaw:
    """The step law from the surprisals of sampled tokens alone: what log-probabilities of an API give.

    sampled: [tokens] -ln p of each sampled token, under the law it was sampled from; values below 0
    (rounding) are raised to 0. ends: [tokens] True where the token ended the text. Mass and moments are
    plain means; the count of bin k is the mean of e^x over draws in it, unbiased because a draw falls on
    a token with probability e^-x. Raises InvalidInput if there is none or one is not finite.
    """
    values = np.asarray(sampled, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InvalidInput(
            f"sampled surprisals must be a non-empty 1-d array of finite nats, got shape {values.shape}; "
            "an infinite one means that the log-probabilities are not of the law sampled from"
        )
    values = np.maximum(values, 0.0)
    kept = values < STORED_RANGE
    if ends is not None:
        ended = np.asarray(ends, dtype=np.bool_)
        if ended.shape != values.shape:
            raise InvalidInput(
                f"ends must have the shape of the surprisals {values.shape}, got {ended.shape}"
            )
        kept &= ~ended
    bins = int(STORED_RANGE / check_width(width))
    bin_index = bin_of(values[kept], width)
    mass = np.bincount(bin_index, minlength=bins)[:bins] / len(values)
    counts = np.bincount(bin_index, weights=np.exp(values[kept]), minlength=bins)[:bins] / len(values)
    return _trimmed(width, mass, counts, float(values.mean()), float((values**2).mean()), len(values), None)


def from_histograms(
    width: float,
    mass_sums: npt.ArrayLike,
    count_sums: npt.ArrayLike,
    *,
    surprisal_sum: float,
    squared_surprisal_sum: float,
    tokens: int,
    vocabulary_size: int | None = None,
) -> StepLaw:
    """The step law from histograms summed over contexts while a model was running.

    mass_sums, count_sums: [bins] sums over contexts of the probability and of the number of tokens per
    bin (bins by `bin_of`). surprisal_sum, squared_surprisal_sum: sums over contexts of the entropy and of
    sum p (ln p)^2. tokens: number of contexts. Raises InvalidInput if these contradict each other.
    """
    if tokens < 1:
        raise InvalidInput(f"a step law needs at least one context, got {tokens}")
    return _trimmed(
        width,
        np.asarray(mass_sums, dtype=np.float64) / tokens,
        np.asarray(count_sums, dtype=np.float64) / tokens,
        surprisal_sum / tokens,
        squared_surprisal_sum / tokens,
        tokens,
        vocabulary_size,
    )


def merged(first: StepLaw, second: StepLaw) -> StepLaw:
    """The law of the pooled contexts, each side weighted by its number of tokens.

    Raises InvalidInput if the widths differ (coarsen the finer one first).
    """
    if first.width != second.width:
        raise InvalidInput(
            f"step laws of widths {first.width:g} and {second.width:g} cannot be merged; "
            "bring both to one width with coarsened()"
        )
    tokens = first.tokens + second.tokens
    left, right = first.tokens / tokens, second.tokens / tokens
    bins = max(len(first), len(second))

    def pooled(one: FloatArray, other: FloatArray) -> FloatArray:
        return left * np.pad(one, (0, bins - len(one))) + right * np.pad(other, (0, bins - len(other)))

    sizes = (first.vocabulary_size, second.vocabulary_size)
    return StepLaw(
        width=first.width,
        mass=pooled(first.mass, second.mass),
        counts=pooled(first.counts, second.counts),
        mu=left * first.mu + right * second.mu,
        mu2=left * first.mu2 + right * second.mu2,
        tokens=tokens,
        vocabulary_size=None if sizes[0] is None or sizes[1] is None else max(sizes[0], sizes[1]),
    )


# Kept, since a bound at many node budgets asks for the same few: some 2 MB for all widths of one law.
@lru_cache(maxsize=64)
def coarsened(law: StepLaw, factor: int) -> StepLaw:
    """The same law on bins `factor` times as wide, positions still rounded down; moments unchanged."""
    if factor < 1:
        raise InvalidInput(f"bins can only be joined, got a factor of {factor}; give an integer >= 1")
    if factor == 1:
        return law
    starts = np.arange(0, len(law), factor)
    return StepLaw(
        width=law.width * factor,
        mass=np.add.reduceat(law.mass, starts),
        counts=np.add.reduceat(law.counts, starts),
        mu=law.mu,
        mu2=law.mu2,
        tokens=law.tokens,
        vocabulary_size=law.vocabulary_size,
    )


def check_width(width: float) -> float:
    """The width, unchanged. Raises InvalidInput unless it is a finite number of nats in (0, STORED_RANGE]."""
    if not isfinite(width) or not 0.0 < width <= STORED_RANGE:
        raise InvalidInput(f"the bin width must be in (0, {STORED_RANGE:g}] nats, got {width}")
    return width


def _normalised_weights(weights: npt.ArrayLike | None, contexts: int) -> FloatArray:
    if weights is None:
        return np.full(contexts, 1.0 / contexts)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (contexts,) or not (given >= 0.0).all() or not 0.0 < given.sum() < np.inf:
        raise InvalidInput(
            f"weights must be {contexts} finite numbers >= 0, not all 0, got shape {given.shape}; "
            "give one weight per context"
        )
    return given / given.sum()


def _trimmed(
    width: float,
    mass: FloatArray,
    counts: FloatArray,
    mu: float,
    mu2: float,
    tokens: int,
    support: int | None,
) -> StepLaw:
    filled = np.flatnonzero(counts)
    bins = int(filled[-1]) + 1 if len(filled) else 1
    return StepLaw(width, mass[:bins], counts[:bins], mu, mu2, tokens, support)


def _check(law: StepLaw) -> None:
    check_width(law.width)
    if law.mass.ndim != 1 or law.mass.shape != law.counts.shape or len(law.mass) == 0:
        raise InvalidInput(
            f"mass and counts must be equally long 1-d arrays with at least one bin, got shapes "
            f"{law.mass.shape} and {law.counts.shape}"
        )
    if not (law.mass >= 0.0).all() or not np.isfinite(law.counts).all():
        raise InvalidInput("mass must be >= 0 and counts finite in every bin; check the accumulation")
    if law.mass.sum() > 1.0 + SUM_ATOL:
        raise InvalidInput(f"the mass of a step law sums to at most 1, got {law.mass.sum():.9g}")
    if law.tokens < 1:
        raise InvalidInput(f"a step law needs at least one context, got {law.tokens}")
    lower = law.mass * np.exp(np.arange(len(law)) * law.width)
    slack = 1.0 + CONSISTENCY_RTOL
    if (law.counts * slack < lower).any() or (law.counts > lower * np.exp(law.width) * slack).any():
        worst = int(np.argmax(np.maximum(lower - law.counts, law.counts - lower * np.exp(law.width))))
        raise InvalidInput(
            f"bin {worst} holds mass {law.mass[worst]:.6g} and count {law.counts[worst]:.6g}, but tokens "
            f"with surprisals in [{worst * law.width:.6g}, {(worst + 1) * law.width:.6g}) nats "
            "need mass e^x per token; accumulate both with the same bin_of()"
        )
