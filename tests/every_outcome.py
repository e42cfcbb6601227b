"""Enumerating a whole decoding run: noise that tries every outcome, and the exact law of what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from speclight.decoding.noise_streams import NoiseStreams
from speclight.verification.enumeration import enumerate_outcomes
from speclight.verification.noise import Noise

Result = TypeVar("Result", bound=Hashable)


class EveryOutcome:
    """All randomness of a decoding run from one enumerated source; call and node only label it."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def for_draft(self):
        return self

    def for_verification(self, tree):
        return self.noise

    def sample(self, law):
        return self.noise.sample(0, law)


def law_of(run: Callable[[NoiseStreams], Result]) -> dict[Result, float]:
    """Every result that the noise leads `run` to, with its probability."""
    law: dict[Result, float] = {}
    for outcome in enumerate_outcomes(lambda noise: run(EveryOutcome(noise))):
        law[outcome.result] = law.get(outcome.result, 0.0) + outcome.probability
    return law
