"""The Markov kernel with the step averaged over full laws; only which type follows is read off samples.

C_ij(k), the expected number of tokens of a type-i context in bin k that lead to type j, is split as
C_i.(k) r_ij(x): how many tokens there are, times the share of them that lead to j. The law of each context
gives the first factor without any draw. The second needs a context that was visited, so only the sampled
token can tell: r is its share among sampled transitions within cells of like surprisal. Where a cell holds n
of them, drawing C_ij has a relative variance of about 1/(n r), the product one of (1 - r)/(n r).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.iid.markov_renewal import DEFAULT_WIDTH, MarkovKernel
from speclight.theory.laws.likely_tokens import LikelyTokens
from speclight.theory.laws.step_law import STORED_RANGE, bin_of, check_width

# Nats. Sampled transitions weigh e^x; within a cell that is the same up to 13% either way.
CELL_WIDTH = 0.25


def kernel_from_laws(
    likely: LikelyTokens,
    sampled: npt.ArrayLike,
    context_types: npt.ArrayLike,
    next_types: npt.ArrayLike,
    *,
    types: int,
    ends: npt.ArrayLike,
    width: float = DEFAULT_WIDTH,
) -> MarkovKernel:
    """The kernel from full laws and the transitions sampled from them, one of each per context.

    likely: of each context. sampled, context_types, next_types, ends: [contexts] as `kernel_from_transitions`
    takes them. Sums over next types have no error but that of which contexts were visited; beyond the reach
    of the laws the probability is known, and sampled tokens tell where it lies. Raises InvalidInput for
    shapes or values that do not fit, or a type that no context has.
    """
    steps = np.maximum(np.asarray(sampled, dtype=np.float64), 0.0)
    before, after = np.asarray(context_types, dtype=np.int64), np.asarray(next_types, dtype=np.int64)
    ended = np.asarray(ends, dtype=np.bool_)
    if not steps.shape == before.shape == after.shape == ended.shape == (len(likely),):
        raise InvalidInput(
            f"transitions need one entry for each of {len(likely)} contexts, got shapes {steps.shape}, "
            f"{before.shape}, {after.shape} and {ended.shape}"
        )
    for name, labels in (("context", before), ("next", after[~ended])):
        if ((labels < 0) | (labels >= types)).any():
            raise InvalidInput(f"{name} types must lie in 0..{types - 1}, got {labels.min()}..{labels.max()}")
    contexts = np.bincount(before, minlength=types)
    if (contexts == 0).any():
        raise InvalidInput(f"type {int(contexts.argmin())} has no context; use fewer types or more text")
    bins = int(bin_of(min(STORED_RANGE, max(likely.reach, steps.max(initial=0.0))), check_width(width))) + 1
    counts = np.zeros((types, types, bins))
    owners, rest = np.repeat(before, likely.kept), _rest(likely)
    for kind in range(types):
        moved = ~ended & (before == kind) & (steps < STORED_RANGE)
        positions = likely.surprisals[owners == kind]
        rare = steps[moved & (steps > likely.reach)]
        beyond = rest[before == kind].sum()
        # A kept token counts once. A rare one stands for e^x tokens, with the probability that lies beyond.
        weights = np.append(np.ones(len(positions)), np.exp(rare) * (beyond / max(len(rare), 1)))
        positions = np.append(positions, rare)
        shares = _next_shares(steps[moved], after[moved], positions, types)
        for following in range(types):
            counts[kind, following] = np.bincount(
                bin_of(positions, width), weights * shares[:, following], minlength=bins
            )
    return MarkovKernel(width, counts / contexts[:, None, None])


def _rest(likely: LikelyTokens) -> FloatArray:
    """[contexts] probability of the tokens that are neither kept nor an end of text."""
    context = np.repeat(np.arange(len(likely)), likely.kept)
    kept = np.bincount(context, np.exp(-likely.surprisals), minlength=len(likely))
    return np.maximum(1.0 - likely.end_probabilities - kept, 0.0)


def _next_shares(steps: FloatArray, after: IntArray, asked: FloatArray, types: int) -> FloatArray:
    """[asked, types] share of tokens at each surprisal asked for that lead to each type."""
    if len(steps) == 0:  # every sampled token ended the text: nothing is known to follow
        return np.zeros((len(asked), types))
    cells = np.floor(np.concatenate([steps, asked]) / CELL_WIDTH).astype(np.int64)
    sums = np.zeros((int(cells.max()) + 1, types))
    np.add.at(sums, (cells[: len(steps)], after), np.exp(steps))
    totals = sums.sum(axis=1)
    filled = np.flatnonzero(totals)
    # A cell without a sampled transition takes the shares of the nearest one that has some.
    upper = np.searchsorted(filled, cells[len(steps) :]).clip(max=len(filled) - 1)
    lower = np.maximum(upper - 1, 0)
    wanted = cells[len(steps) :]
    nearer = np.where(wanted - filled[lower] < np.abs(filled[upper] - wanted), filled[lower], filled[upper])
    return sums[nearer] / totals[nearer, None]
