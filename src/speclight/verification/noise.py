"""The randomness a rule may use, handed in as data: the same noise always gives the same verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speclight.trees.draft_tree import FloatArray


class Noise(Protocol):
    """Independent randomness per node: a coin for accepting it, a draw for sampling at it."""

    def accepts(self, node: int, probability: float) -> bool:
        """Whether the coin at `node` falls on the side of weight `probability`."""
        ...

    def sample(self, node: int, law: FloatArray) -> int:
        """A token drawn from `law` ([vocab], sums to 1) with the draw that belongs to `node`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class UniformNoise:
    """Noise made of independent uniforms in [0, 1).

    coins: [nodes], read by `accepts`. draws: [nodes], read by `sample` through the inverse of the
    cumulated law. Separate arrays, so that a rule cannot correlate a coin with a draw by accident.
    """

    coins: FloatArray
    draws: FloatArray

    def accepts(self, node: int, probability: float) -> bool:
        """See Noise. Strict inequality: probability 0 never accepts, probability 1 always does."""
        return bool(self.coins[node] < probability)

    def sample(self, node: int, law: FloatArray) -> int:
        """See Noise. Tokens of probability zero own an empty interval and are never returned."""
        cumulated = np.cumsum(law)
        token = int(cumulated.searchsorted(self.draws[node] * cumulated[-1], side="right"))
        if token == len(law):
            # u * total can round up to the total itself; the last token of positive weight owns that point.
            token = int(np.flatnonzero(law)[-1])
        return token


def uniform_noise(rng: np.random.Generator, nodes: int) -> UniformNoise:
    """Fresh noise for one call on a tree of `nodes` nodes."""
    return UniformNoise(coins=rng.random(nodes), draws=rng.random(nodes))
