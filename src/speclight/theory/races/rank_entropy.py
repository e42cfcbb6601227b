"""H[R], the entropy of the rank of the emitted token: from counts, from laws, and between its two bounds.

The bounds by the divergence of target and drafter hold for the arrival index (candidates with
replacement) and for rejection with independent drafts; for distinct ranks the lower one is false. With
p = (1e-9, 1 - 1e-9), q = (0.99, 0.01): D_KL = 4.6 nats, but the distinct rank is 2 with probability 0.99
and H[R] = 0.06 nats. The speed-up theorem (`race_speed_up`) is the other way round: it needs a rank that
takes at most |V| values. No one index satisfies both, so every function here asks which R is meant.
Source: arXiv 2504.15475 as its abstract and public summaries quote it; its body was not available, and
which R it means by each statement is our reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf, log2

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Origin, Side
from speclight.theory.information import bits_to_nats, kl_divergence, nats_to_bits
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder
from speclight.theory.races.matching import RankConvention, RankLaw, arrival_mixture

# Constants of the one-shot channel-simulation bounds; they belong to entropies in bits.
POISSON_CONSTANT_BITS = 2.443
POISSON_LOOSE_CONSTANT_BITS = 3.732
# Indices summed one by one; beyond, the sum is an integral with its first Euler-Maclaurin correction, whose
# next term is below 1e-11 from here on.
INDICES_SUMMED = 256
# Remaining probability at which the tail of the arrival index is dropped; with (1e-16) ln(1e16) < 4e-15
# nats per remaining order of magnitude of the index.
TAIL_MASS = 1e-17


@dataclass(frozen=True, slots=True)
class EntropyEstimate:
    """An entropy estimated from counts, nats.

    plug_in: entropy of the observed frequencies, biased low. miller_madow: plug_in + (occupied - 1) / 2N,
    which removes the bias of order 1/N but not that of ranks never seen. standard_error: of plug_in, from
    the spread of -ln frequency. samples: N. occupied: number of distinct ranks seen.
    """

    plug_in: float
    miller_madow: float
    standard_error: float
    samples: int
    occupied: int


@dataclass(frozen=True, slots=True)
class RankEntropyBound:
    """A statement on H[R], nats, with the index it is about and where it comes from."""

    name: str
    nats: float
    side: Side
    convention: RankConvention
    source: str
    origin: Origin


def rank_entropy_from_counts(counts: IntArray) -> EntropyEstimate:
    """H[R] from how often each rank occurred. counts: [ranks], >= 0, at least one observation.

    Source of the correction: Miller (1955). Raises InvalidInput for negative or fractional counts or none.
    """
    table = np.asarray(counts)
    if table.ndim != 1 or not np.issubdtype(table.dtype, np.integer) or (table < 0).any() or not table.any():
        raise InvalidInput(
            f"rank counts must be a vector of integers >= 0 with at least one observation, got "
            f"{table.dtype} of shape {table.shape}; count ranks with np.bincount"
        )
    samples, seen = int(table.sum()), table[table > 0]
    frequencies = seen / samples
    surprisals = -np.log(frequencies)
    plug_in = float(frequencies @ surprisals)
    spread = float(frequencies @ (surprisals - plug_in) ** 2)
    return EntropyEstimate(
        plug_in=max(plug_in, 0.0),
        miller_madow=max(plug_in, 0.0) + (len(seen) - 1) / (2.0 * samples),
        standard_error=(spread / samples) ** 0.5,
        samples=samples,
        occupied=len(seen),
    )


def rank_entropy(law: RankLaw) -> float:
    """Entropy in nats of R with all ranks beyond the law's last one as a single outcome.

    This is H[R] where nothing is beyond, and a lower bound on it otherwise.
    """
    return float(entropy_terms(np.append(law.probabilities, law.beyond)).sum())


def arrival_index_entropy(target: FloatArray, drafter: FloatArray) -> float:
    """H[K] of the arrival index (with replacement) over all its infinitely many values, nats; error < 1e-9.

    The law is a mixture of geometric laws (`races.arrival_index_law`); indices past INDICES_SUMMED are
    integrated. Raises InvalidInput where the target emits a token the drafter cannot propose (K infinite).
    Origin: ours.
    """
    _check_proposable(target, drafter)
    weights, excess = arrival_mixture(LikelihoodRatioOrder(target, drafter))
    # Written by A, not by the survival A / (1 + A), which rounds to 1 for large A.
    stops = weights / (1.0 + excess)
    decay = np.full_like(excess, np.inf)
    np.log1p(np.divide(1.0, excess, out=decay, where=excess > 0.0), out=decay, where=excess > 0.0)

    def law(index: FloatArray) -> FloatArray:
        return _geometric_powers(index, decay) @ stops

    total = float(entropy_terms(law(np.arange(1.0, INDICES_SUMMED + 1.0))).sum())
    edge = INDICES_SUMMED + 0.5
    at_edge = float(law(np.array([edge]))[0])
    if at_edge > 0.0:
        slow = np.isfinite(decay)
        slope = -float(stops[slow] @ (decay[slow] * np.exp(-(edge - 1.0) * decay[slow])))
        total += -slope * (np.log(at_edge) + 1.0) / 24.0  # midpoint rule: sum = integral + f'(edge) / 24
    nodes, node_weights = np.polynomial.legendre.leggauss(12)
    while float(weights @ _geometric_powers(np.array([edge + 1.0]), decay)[0]) > TAIL_MASS:
        # On blocks of ratio 1.5 the integrand is smooth enough for 12 Gauss nodes to reach rounding.
        index = edge * (1.25 + 0.25 * nodes)
        total += 0.25 * edge * float(node_weights @ entropy_terms(law(index)))
        edge *= 1.5
    return total


def divergence_lower_bound(
    target: FloatArray, drafter: FloatArray, convention: RankConvention
) -> RankEntropyBound:
    """D_KL(p || q) <= H[R], for candidates drawn with replacement only.

    Candidate r has law q, so P(R = r) law(X_r | R = r) <= q, and convexity of the divergence does the rest.
    Holds for the arrival index and for rejection with independent drafts. Raises InvalidInput for distinct
    ranks, for which it is false, and where p > 0 = q (both sides are infinite: nothing is bounded).
    Source: the inequality is quoted in public summaries of arXiv 2504.15475; this proof is ours.
    """
    if convention is not RankConvention.WITH_REPLACEMENT:
        raise InvalidInput(
            "D_KL <= H[R] is false for distinct ranks: p = (1e-9, 1 - 1e-9), q = (0.99, 0.01) has "
            "D_KL = 4.6 but H[R] = 0.06 nats. It cannot be combined with the speed-up theorem for one R; "
            "use the arrival index (RankConvention.WITH_REPLACEMENT)"
        )
    _check_proposable(target, drafter)
    return RankEntropyBound(
        "divergence", float(kl_divergence(target, drafter)), "lower", convention, "arXiv 2504.15475", "ours"
    )


def channel_simulation_upper_bound(
    divergence: float, convention: RankConvention, *, loose: bool = False
) -> RankEntropyBound:
    """H[K] <= D + log2(D + 2.443) + 2.443 <= D + log2(D + 1) + 3.732 bits; the value returned is in nats.

    divergence: D_KL(p || q) in nats, finite. loose: the second form. The constants belong to bits, so the
    sum is evaluated in bits and converted. Holds for the arrival index of the Poisson functional
    representation (arXiv 1701.02827); which constant arXiv 2504.15475 quotes is not known to us. A distinct
    rank is a function of the arrivals that is never larger, but its entropy could be, so it is refused.
    Raises InvalidInput for distinct ranks and for a negative or infinite divergence.
    """
    if convention is not RankConvention.WITH_REPLACEMENT:
        raise InvalidInput(
            "the channel-simulation bound is on the entropy of the arrival index (with replacement); "
            "nothing is proved here for distinct ranks: pass RankConvention.WITH_REPLACEMENT and its R"
        )
    if not 0.0 <= divergence < float("inf"):
        raise InvalidInput(f"the divergence must be a finite number of nats >= 0, got {divergence}")
    bits = nats_to_bits(divergence)
    if loose:
        bound = bits + log2(bits + 1.0) + POISSON_LOOSE_CONSTANT_BITS
    else:
        bound = bits + log2(bits + POISSON_CONSTANT_BITS) + POISSON_CONSTANT_BITS
    name = "channel_simulation_loose" if loose else "channel_simulation"
    return RankEntropyBound(name, bits_to_nats(bound), "upper", convention, "arXiv 1701.02827", "ours")


def entropy_terms(masses: FloatArray) -> FloatArray:
    """-m ln m of each mass, nats, 0 at m = 0; the masses need not sum to 1 (parts of a law)."""
    logs = np.log(masses, out=np.zeros_like(masses), where=masses > 0.0)
    return -masses * logs


def _geometric_powers(index: FloatArray, decay: FloatArray) -> FloatArray:
    """[index, tokens] exp(-(index - 1) decay), with 0 * inf = 0: a token nothing precedes has index 1."""
    steps = index[:, None] - 1.0
    exponent = np.multiply(steps, decay, out=np.zeros((len(index), len(decay))), where=steps > 0.0)
    return np.exp(-exponent)


def _check_proposable(target: FloatArray, drafter: FloatArray) -> None:
    if isinf(float(kl_divergence(target, drafter))):
        raise InvalidInput(
            "the target emits tokens to which the drafter gives probability 0: their index, H[R] and D_KL "
            "are infinite; smooth the drafter's law or drop the tokens it cannot propose from both laws"
        )
