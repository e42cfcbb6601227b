"""The one place where randomness is drawn: separate streams for drafting and for verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from speclight.drafting.protocol import DraftNoise
from speclight.trees.draft_tree import DraftTree, FloatArray
from speclight.verification.noise import Noise, UniformNoise, noise_shape, uniform_noise


class NoiseStreams(Protocol):
    """Noise for one decoding run, asked for once per call each."""

    def for_draft(self) -> DraftNoise:
        """Noise for the next draft."""
        ...

    def for_verification(self, tree: DraftTree) -> Noise:
        """Noise for the next verdict, on this tree."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratorNoise:
    """Draft noise straight from a generator."""

    rng: np.random.Generator

    def sample(self, law: FloatArray) -> int:
        """See DraftNoise: inverse of the cumulated law, as verification samples."""
        return UniformNoise(coins=np.zeros(1), draws=self.rng.random(1)).sample(0, law)


class SeededNoise:
    """Independent Philox streams for drafts and verdicts, keyed by one seed.

    Accepting a sampled draft with noise that helped to draw it would bias the text, so the two never share
    a stream.
    """

    def __init__(self, seed: int) -> None:
        draft, verification = np.random.SeedSequence(seed).spawn(2)
        self._draft = GeneratorNoise(np.random.Generator(np.random.Philox(draft)))
        self._verification = np.random.Generator(np.random.Philox(verification))

    def for_draft(self) -> DraftNoise:
        """See NoiseStreams."""
        return self._draft

    def for_verification(self, tree: DraftTree) -> Noise:
        """See NoiseStreams."""
        return uniform_noise(self._verification, noise_shape(tree))
