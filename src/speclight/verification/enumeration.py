"""The exact law of whatever a rule decides, by running it through every outcome of its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from speclight.arrays import FloatArray
from speclight.verification.noise import Noise

Result = TypeVar("Result")

# A choice of this weight or less is the rounding of a certain one (1 - p with p an ulp or two below 1) and
# is not followed: it would double the outcomes and change a law by less than its own rounding.
NEGLIGIBLE = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class Outcome(Generic[Result]):
    """One possible result and its exact probability."""

    result: Result
    probability: float


class _ScriptedNoise:
    """Noise that follows a script of choices, takes the first possible one beyond it, and remembers."""

    def __init__(self, script: list[int]) -> None:
        self.choices: list[int] = []
        self.alternatives: list[list[int]] = []
        self.probability = 1.0
        self._script = script

    def accepts(self, coin: int, probability: float) -> bool:
        return self._choose([1.0 - probability, probability]) == 1

    def sample(self, node: int, law: FloatArray) -> int:
        return self._choose(law.tolist())

    def race_winner(self, depth: int, law: FloatArray, noise_sets: tuple[int, ...] = (0,)) -> int:
        # Exact only where the draft does not depend on the race, as no draft made with this noise does.
        return self._choose(law.tolist())

    def _choose(self, weights: list[float]) -> int:
        possible = [index for index, weight in enumerate(weights) if weight > NEGLIGIBLE]
        step = len(self.choices)
        choice = self._script[step] if step < len(self._script) else possible[0]
        self.choices.append(choice)
        self.alternatives.append([index for index in possible if index > choice])
        self.probability *= weights[choice]
        return choice


def enumerate_outcomes(run: Callable[[Noise], Result]) -> Iterator[Outcome[Result]]:
    """Every result of `run` with its probability, where the noise is all that is random.

    `run` must be pure in its noise and use every coin and draw at most once: each one consulted is
    enumerated as a fresh one, whatever its number. Choices of probability up to NEGLIGIBLE are left out.
    Exact for rules that touch their noise only through Noise.accepts and Noise.sample; the cost is the
    number of outcomes, so use small vocabularies.
    """
    script: list[int] | None = []
    while script is not None:
        noise = _ScriptedNoise(script)
        result = run(noise)
        yield Outcome(result, noise.probability)
        script = _next_script(noise)


def _next_script(noise: _ScriptedNoise) -> list[int] | None:
    for step in range(len(noise.choices) - 1, -1, -1):
        if noise.alternatives[step]:
            return [*noise.choices[:step], noise.alternatives[step][0]]
    return None
