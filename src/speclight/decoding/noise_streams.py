"""The one place where randomness is drawn: separate streams for drafting and for verification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from speclight.arrays import FloatArray
from speclight.drafting.protocol import DraftNoise
from speclight.seeds import child_streams, stream
from speclight.trees.draft_tree import DraftTree
from speclight.trees.race_noise import RaceField, RaceView
from speclight.verification.noise import Noise, UniformNoise, noise_shape, uniform_noise

# Keeps draws by position apart from every stream spawned from the same seed.
DRAW_SALT = 0x44524157
DRAWS_AT_ONCE = 1024


class NoiseStreams(Protocol):
    """Noise for one decoding run, asked for once per call each."""

    def for_draft(self) -> DraftNoise:
        """Noise for the next draft."""
        ...

    def for_verification(self, tree: DraftTree) -> Noise:
        """Noise for the next verdict, on this tree."""
        ...


@runtime_checkable
class FollowsText(Protocol):
    """Noise that depends on where in the text a call stands; decoding asks by isinstance."""

    def at(self, position: int) -> None:
        """The next call decides the token at this position: that many tokens are committed."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratorNoise:
    """Draft noise straight from a generator, and the race that verification will be run with too."""

    rng: np.random.Generator
    race: RaceView | None = None

    def sample(self, law: FloatArray) -> int:
        """See DraftNoise: inverse of the cumulated law, as verification samples."""
        return UniformNoise(coins=np.zeros(1), draws=self.rng.random(1)).sample(0, law)


class SeededNoise:
    """Independent Philox streams for drafts and verdicts, keyed by one seed, and the field of races.

    Accepting a sampled draft with noise that helped to draw it would bias the text, so drafts and coins never
    share a stream. Races are the exception that is sound: their rule emits the winner of the shared noise and
    flips no coin. The field is keyed apart from both streams and indexed by position in the text.

    request: number that tells requests of one seed apart in the field of races.
    """

    def __init__(self, seed: int, request: int = 0) -> None:
        self._draft, self._verification = child_streams(seed, 2)
        self._field = RaceField(seed, request)
        self._race = self._field.from_position(0)

    def at(self, position: int) -> None:
        """See FollowsText."""
        self._race = self._field.from_position(position)

    def for_draft(self) -> DraftNoise:
        """See NoiseStreams."""
        return GeneratorNoise(self._draft, self._race)

    def for_verification(self, tree: DraftTree) -> UniformNoise:
        """See NoiseStreams."""
        return uniform_noise(self._verification, noise_shape(tree), self._race)


class TextNoise(SeededNoise):
    """Noise whose draws belong to positions of the text: what is drawn there does not depend on the tree.

    So a rule that emits the target's own draws (target_sample, race) decodes one and the same text whatever
    is drafted. Coins and drafts are as in SeededNoise.
    """

    def __init__(self, seed: int, request: int = 0) -> None:
        super().__init__(seed, request)
        self._stream = stream(seed, DRAW_SALT, request)
        self._draws = self._stream.random(DRAWS_AT_ONCE)
        self._position = 0

    def at(self, position: int) -> None:
        """See FollowsText."""
        super().at(position)
        self._position = position

    def for_verification(self, tree: DraftTree) -> UniformNoise:
        """See NoiseStreams. Nodes of one depth share a draw: they decide one position, and one is visited."""
        depths = tree.depths
        while len(self._draws) <= self._position + int(depths.max()):
            self._draws = np.concatenate((self._draws, self._stream.random(DRAWS_AT_ONCE)))
        return replace(super().for_verification(tree), draws=self._draws[self._position + depths])
