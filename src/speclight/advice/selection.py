"""How much the fastest of many is flattered by having been chosen, and how sure its speed is.

Prompts are drawn anew within each family, and the whole choice is made again: mean calls, their drawing
towards each other, the order by speed. What stands first in a draw was lucky in it; by how much more than
what stands first here is its flattery. Ours; docs/theory/pooling.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.advice.priced_calls import PricedCalls
from speclight.arrays import FloatArray, IntArray
from speclight.seeds import stream

DRAWS = 200
BLOCK = 20  # draws worked on at once, which bounds memory
SEED = 20


@dataclass(frozen=True, slots=True, eq=False)
class Flattery:
    """Of the logarithm of speed, by configuration; both [configurations].

    bias: by how much too high. error: standard error over prompts, choosing included.
    """

    bias: FloatArray
    error: FloatArray


def flattery(found: FloatArray, drawn: FloatArray) -> Flattery:
    """Bias and error of each place in the order of speed.

    found: [configurations] speeds. drawn: [draws, configurations] speeds by prompts drawn anew.

    Each place in the order of speed has a flattery of its own: above 0 for the first, below for the last;
    with a single configuration it is 0. Configurations of one speed share theirs.
    """
    moved = np.log(drawn / found)
    order = np.argsort(-found, kind="stable")
    by_place = np.take_along_axis(moved, np.argsort(-drawn, axis=1, kind="stable"), axis=1)
    alike: IntArray = np.unique(found.round(12), return_inverse=True)[1][order]
    bias = _shared(alike, (by_place - moved[:, order]).mean(axis=0))
    error = _shared(alike, by_place.std(axis=0))
    there = np.argsort(order)
    return Flattery(bias[there], error[there])


def redrawn_mean_calls(families: Sequence[PricedCalls], means: FloatArray) -> Iterator[FloatArray]:
    """Blocks of mean calls by prompts drawn anew, [4, draws of the block, families, configurations].

    means: [4, families, configurations] of the prompts that there are. One prompt fewer is drawn of each
    family, so that draws vary as means do (Rao and Wu, 1988, J. Amer. Statist. Assoc. 83, 231). A family none
    of whose drawn prompts made such a call stays as it is.
    """
    rng = stream(SEED)
    times = [
        rng.multinomial(each.prompts - 1, np.full(each.prompts, 1.0 / each.prompts), size=DRAWS)
        for each in families
    ]
    for first in range(0, DRAWS, BLOCK):
        again = [
            each.mean_call(own[first : first + BLOCK]) for each, own in zip(families, times, strict=True)
        ]
        stacked = np.stack(again, axis=2)
        yield np.where(np.isnan(stacked), means[:, None], stacked)


def _shared(kinds: IntArray, values: FloatArray) -> FloatArray:
    """Values averaged over those of a kind."""
    return (np.bincount(kinds, values) / np.bincount(kinds))[kinds]
