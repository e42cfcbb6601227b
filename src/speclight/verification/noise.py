"""The randomness a rule may use, handed in as data: the same noise always gives the same verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree
from speclight.trees.drawn_token import drawn_token
from speclight.trees.race_noise import RaceView


class Noise(Protocol):
    """Independent randomness for one verdict: coins to accept drafts with, draws to sample tokens with.

    There is one coin for every draw the drafter made (so two for a token drawn twice), numbered as
    `proposals` numbers them, and one draw for every node. A rule uses each at most once.
    """

    def accepts(self, coin: int, probability: float) -> bool:
        """Whether that coin falls on the side of weight `probability`."""
        ...

    def sample(self, node: int, law: FloatArray) -> int:
        """A token drawn from `law` ([vocab], sums to 1) with the draw that belongs to `node`."""
        ...

    def race_winner(self, depth: int, law: FloatArray, noise_sets: tuple[int, ...] = (0,)) -> int:
        """The winner under `law` of the race that the drafter ranked its candidates with.

        depth: of the node the token comes after, 0 for the root. noise_sets: see RaceView.winner. Only for
        rules that emit this token whatever was drafted: coins and draws must not depend on the race.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoiseShape:
    """How many coins and draws a verdict may need."""

    coins: int
    draws: int


def noise_shape(tree: DraftTree) -> NoiseShape:
    """The noise for verifying a tree, whichever rule does it."""
    return NoiseShape(coins=sum(draw_counts(tree)), draws=len(tree))


def draw_counts(tree: DraftTree) -> list[int]:
    """[nodes] how many tokens were drawn after each node: children, repeats counted again."""
    if tree.samples is None:
        return np.bincount(tree.parents[1:], minlength=len(tree)).tolist()
    return [0 if sample is None else len(sample.draws) for sample in tree.samples]


@dataclass(frozen=True, slots=True, eq=False)
class UniformNoise:
    """Noise made of independent uniforms in [0, 1).

    coins: [coins], read by `accepts`. draws: [nodes], read by `sample` through the inverse of the
    cumulated law. Separate arrays, so that a rule cannot correlate a coin with a draw by accident.
    race: the noise shared with the drafter, independent of both; None where no draft was ranked by one.
    """

    coins: FloatArray
    draws: FloatArray
    race: RaceView | None = None

    def accepts(self, coin: int, probability: float) -> bool:
        """See Noise. Strict inequality: probability 0 never accepts, probability 1 always does."""
        return bool(self.coins[coin] < probability)

    def sample(self, node: int, law: FloatArray) -> int:
        """See Noise, and `drawn_token`."""
        return drawn_token(law, float(self.draws[node]))

    def race_winner(self, depth: int, law: FloatArray, noise_sets: tuple[int, ...] = (0,)) -> int:
        """See Noise. Raises InvalidInput if there is no race."""
        if self.race is None:
            raise InvalidInput(
                "this noise holds no race, which the rules race, race_with_replacement and gls emit the "
                "winner of; give UniformNoise the RaceView that the draft was made with"
            )
        return self.race.winner(depth, law, noise_sets)


def uniform_noise(rng: np.random.Generator, shape: NoiseShape, race: RaceView | None = None) -> UniformNoise:
    """Fresh coins and draws for one call, beside the race that its draft saw."""
    return UniformNoise(coins=rng.random(shape.coins), draws=rng.random(shape.draws), race=race)
