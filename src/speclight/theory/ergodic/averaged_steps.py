"""The atoms behind E N_P with every last step averaged over its full law instead of drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.ergodic.spine_sums import ATOMS_PER_CHUNK, Atoms, spine_atoms
from speclight.theory.laws.likely_tokens import LikelyTokens
from speclight.theory.laws.start_law import Starts


def tree_atoms(starts: Starts, reach: float) -> list[Atoms]:
    """Chunks of the atoms with S_d <= reach, and some beyond: averaged where laws are known, else drawn.

    The root is an atom of share 1. After each prefix drawn, every kept token u of its law is an atom of share
    p_u at S_{d-1} - ln p_u, up to the first beyond reach; a drawn token that its law did not keep (rarer than
    the laws' reach) is an atom of share 1. So every depth's sum keeps its expectation, whatever is kept.
    """
    if starts.likely is None:
        return spine_atoms(starts, reach)
    likely, every = starts.likely, np.arange(len(starts))
    chunks = [Atoms(np.zeros(len(starts)), every, np.ones(len(starts)))]
    keys = _sorted_keys(likely)
    active, sums, depth = every[starts.contexts >= 1], np.zeros(int((starts.contexts >= 1).sum())), 0
    while len(active):
        depth += 1
        contexts = starts.positions[active] + depth - 1
        taken = _tokens_taken(likely, keys, contexts, reach - sums)
        chunks += _averaged(likely, active, sums, contexts, taken)
        step = starts.flat[contexts]
        is_node = starts.deepest[active] >= depth
        rare = is_node & (step > likely.reach)
        chunks.append(Atoms(sums[rare] + step[rare], active[rare], np.ones(int(rare.sum()))))
        going_on = is_node & (sums + step <= reach) & (starts.contexts[active] > depth)
        active, sums = active[going_on], (sums + step)[going_on]
    return chunks


def _sorted_keys(likely: LikelyTokens) -> FloatArray:
    """Surprisals shifted by context, so that one search finds a place within any context."""
    return np.repeat(np.arange(len(likely)) * (likely.reach + 2.0), likely.kept) + likely.surprisals


def _tokens_taken(
    likely: LikelyTokens, keys: FloatArray, contexts: IntArray, remaining: FloatArray
) -> IntArray:
    """How many of each context's kept tokens lie within the remaining reach, and one more if there is."""
    within = np.minimum(remaining, likely.reach + 1.0)
    behind = np.searchsorted(keys, contexts * (likely.reach + 2.0) + within, side="right")
    return np.minimum(behind - likely.first[contexts] + 1, likely.kept[contexts])


def _averaged(
    likely: LikelyTokens, active: IntArray, sums: FloatArray, contexts: IntArray, taken: IntArray
) -> Iterator[Atoms]:
    """Atoms of one depth, in chunks: one for every token taken after every prefix."""
    pieces = max(1, -(-int(taken.sum()) // ATOMS_PER_CHUNK))
    for part in np.array_split(np.arange(len(active)), pieces):
        owner = np.repeat(part, taken[part])
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(taken[part]) - taken[part], taken[part])
        steps = likely.surprisals[likely.first[contexts[owner]] + rank]
        yield Atoms(sums[owner] + steps, active[owner], np.exp(-steps))
