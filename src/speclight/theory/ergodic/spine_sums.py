"""The sums S_d of surprisals along sampled texts, from every start at once, up to a given reach.

One sampled text carries the whole expected tree: a node v at depth d is sampled with probability e^-V(v), so
E N_P(t) = E[sum over d < P of e^(S_d) 1{S_d <= t}] for any process (Claim 1 of arXiv 2512.11718v1 without its
independence). The pairs (start, d) with S_d within reach are the atoms of that measure.

Where the full laws along the text are known, the last step is not drawn but averaged over: the atom at S_d is
replaced by one for each token that the law after d - 1 tokens allows, with its probability as the share. For
f any function of S_d and p that law, E[f(S_d) | first d - 1 tokens] = sum over u of p_u f(S_{d-1} - ln p_u).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.theory.laws.start_law import Starts

# Atoms closer than this are one atom: along paths with the same tokens in another order the sums differ by
# rounding only, some 1e-14 for the few hundred tokens that fit below any threshold.
ATOM_ATOL = 1e-9

# exp(700) is still finite in float64. Only atoms far above every threshold reach it.
LARGEST_EXPONENT = 700.0

# Histograms over (prompt, threshold) are accumulated once per chunk; chunks keep the temporaries near 50 MB.
ATOMS_PER_CHUNK = 2**20

LATTICE_BINS = 8192


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Atoms:
    """The spine sums below all starts, each with its share of probability.

    sums: [atoms] S_d, nats. starts: [atoms] index of the start each belongs to. shares: [atoms] in [0, 1],
    probability of the last step given those before; 1 for a step that was drawn.
    """

    sums: FloatArray
    starts: IntArray
    shares: FloatArray


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where E N_P crosses P. threshold: t_P (nats), infinite if never; keep_at_atom: see Thresholds."""

    threshold: float
    keep_at_atom: float


def spine_atoms(starts: Starts, reach: float) -> list[Atoms]:
    """Chunks of all drawn atoms with S_d <= reach and each start's first atom beyond, in order of depth."""
    chunks: list[Atoms] = []
    pending_sums: list[FloatArray] = []
    pending_starts: list[IntArray] = []
    pending = 0
    active = np.arange(len(starts))
    sums = np.zeros(len(starts))
    depth = 0
    while len(active):
        pending_sums.append(sums)
        pending_starts.append(active)
        pending += len(active)
        if pending >= ATOMS_PER_CHUNK:
            chunks.append(_drawn(pending_sums, pending_starts))
            pending_sums, pending_starts, pending = [], [], 0
        depth += 1
        going_on = (sums <= reach) & (starts.deepest[active] >= depth)
        active = active[going_on]
        sums = sums[going_on] + starts.flat[starts.positions[active] + depth - 1]
    if pending:
        chunks.append(_drawn(pending_sums, pending_starts))
    return chunks


def _drawn(sums: list[FloatArray], starts: list[IntArray]) -> Atoms:
    joined_sums = np.concatenate(sums)
    return Atoms(joined_sums, np.concatenate(starts), np.ones(len(joined_sums)))


def atom_weights(atoms: Atoms, starts: Starts) -> FloatArray:
    """[atoms] start weight times share times e^(S_d): what each atom adds to the sum behind E N_P."""
    return atom_counts(atoms, starts) * np.exp(np.minimum(atoms.sums, LARGEST_EXPONENT))


def atom_counts(atoms: Atoms, starts: Starts) -> FloatArray:
    """[atoms] start weight times share: what each atom adds to the number of tokens."""
    return starts.weights[atoms.starts] * atoms.shares


def sum_by_group(groups: IntArray, values: FloatArray, count: int) -> FloatArray:
    """[count] sum of the values in each group; groups hold numbers in 0..count-1."""
    return np.bincount(groups, values, minlength=count).astype(np.float64)


def first_reach(node_budget: int) -> float:
    """A reach that holds t_P unless texts end early: E N(t) is about e^t/mu, so t_P is about ln(P mu)."""
    return float(np.log(node_budget)) + 4.0


def last_reach(starts: Starts) -> float:
    """A reach beyond which any single atom carries E N_P above P in whatever stratum it lies.

    A kept token weighs e^(S_{d-1}) only, so averaged steps need the reach of the laws on top.
    """
    drawn = float(np.log(starts.node_budget * starts.weights.sum() / starts.weights.min())) + 1.0
    return drawn if starts.likely is None else drawn + starts.likely.reach


def crossings(
    chunks: list[Atoms], starts: Starts, strata: IntArray, count: int, reach: float
) -> list[Crossing]:
    """Exact t_P of each stratum. strata: [starts] stratum of each start, in 0..count-1.

    A lattice of partial sums finds the bin in which E N_P crosses P; only the atoms around it are sorted.
    """
    totals = starts.node_budget * sum_by_group(strata, starts.weights, count)
    width = reach / LATTICE_BINS
    sums = np.zeros((count, LATTICE_BINS + 1))
    for atoms in chunks:
        flat_bins = strata[atoms.starts] * (LATTICE_BINS + 1) + _lattice_bins(atoms.sums, width)
        sums += sum_by_group(flat_bins, atom_weights(atoms, starts), sums.size).reshape(sums.shape)
    cumulative = np.cumsum(sums, axis=1)
    found: list[Crossing] = []
    for stratum in range(count):
        # A sum that reaches P up to rounding has reached it (uniform laws do so exactly in real numbers).
        above = np.flatnonzero(cumulative[stratum] >= totals[stratum] * (1.0 - ATOM_ATOL))
        if totals[stratum] == 0.0 or not len(above):
            found.append(Crossing(float("inf"), 1.0))
            continue
        begin = max(int(above[0]) - 1, 0)
        before = float(cumulative[stratum, begin - 1]) if begin else 0.0
        near = _atoms_from_bin(chunks, starts, strata == stratum, width, begin)
        found.append(_sorted_crossing(near, starts, before, float(totals[stratum])))
    return found


def _lattice_bins(sums: FloatArray, width: float) -> IntArray:
    return np.minimum(sums / width, LATTICE_BINS).astype(np.int64)


def _atoms_from_bin(
    chunks: list[Atoms], starts: Starts, in_stratum: BoolArray, width: float, begin: int
) -> Atoms:
    """The atoms of one stratum in the bin before the crossing, the crossing bin and the one behind it."""
    found: list[Atoms] = []
    for atoms in chunks:
        bins = _lattice_bins(atoms.sums, width)
        near = in_stratum[atoms.starts] & (bins >= begin) & (bins <= begin + 2)
        found.append(Atoms(atoms.sums[near], atoms.starts[near], atoms.shares[near]))
    return Atoms(
        np.concatenate([part.sums for part in found]),
        np.concatenate([part.starts for part in found]),
        np.concatenate([part.shares for part in found]),
    )


def _sorted_crossing(near: Atoms, starts: Starts, before: float, total: float) -> Crossing:
    order = np.argsort(near.sums, kind="stable")
    sums = near.sums[order]
    cumulative = before + np.cumsum(atom_weights(near, starts)[order])
    at = min(int(np.searchsorted(cumulative, total * (1.0 - ATOM_ATOL))), len(sums) - 1)
    first, behind = np.searchsorted(sums, [sums[at] - ATOM_ATOL, sums[at] + ATOM_ATOL])
    below = float(cumulative[first - 1]) if first else before
    upto = float(cumulative[behind - 1])
    return Crossing(float(sums[first]), min(1.0, (total - below) / (upto - below)))
