"""Made-up calls of families of prompts whose true speeds are known, for tests of pooling and selection.

How many tokens a drafter's trees emit beyond one depends on the family, on the prompt, and a little on the
tree, each by a factor of its own; prompts differ in length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.advice.configuration import Configuration
from speclight.advice.priced_calls import PricedCalls
from speclight.arrays import FloatArray

BUDGETS = np.array([2, 3, 4, 6, 8, 12, 16])
GROWTHS = 10
FAMILIES = 5
CONFIGURATIONS = tuple(
    Configuration(drafter, f"growth-{growth}", "target_sample", int(budget))
    for drafter in ("lookup", "head")
    for growth in range(GROWTHS)
    for budget in BUDGETS
)
IS_HEAD = np.array([each.drafter == "head" for each in CONFIGURATIONS])
NODES = np.array([each.node_budget for each in CONFIGURATIONS])
TARGET = 0.056 + 0.004 * NODES
DRAFT = np.where(IS_HEAD, 0.004 + 0.004 * np.log2(NODES), 0.0002)
LOOP = np.full(len(CONFIGURATIONS), 0.001)
# Standard deviations of logarithms of tokens beyond one, from prompt to prompt: of drafter, growth and tree.
PROMPTS_DIFFER = np.where(IS_HEAD, 0.4, 1.0)
GROWTHS_DIFFER, TREES_DIFFER = 0.25, 0.15


@dataclass(frozen=True, eq=False)
class PlantedFamilies:
    """Families of which the truth is known. tokens: [families, configurations] per call."""

    tokens: FloatArray

    @property
    def speeds(self) -> FloatArray:
        """[families, configurations] true tokens per second."""
        return self.tokens / (TARGET + DRAFT + LOOP)

    def calls(self, prompts: int, rng: np.random.Generator) -> list[PricedCalls]:
        """Calls of so many prompts of each family."""
        return [_family(tokens, prompts, rng) for tokens in self.tokens]


def planted_families(differ: float, rng: np.random.Generator) -> PlantedFamilies:
    """Families drawn at random.

    differ: standard deviation of the logarithm of tokens beyond one from family to family.
    """
    growth = rng.lognormal(0.0, 0.08, size=(2, GROWTHS)).repeat(len(BUDGETS), axis=1).ravel()
    beyond = np.where(IS_HEAD, 0.27, 0.20) * np.log2(NODES) ** 0.6 * growth
    level = rng.lognormal(-(differ**2) / 2, differ, size=(FAMILIES, 2))
    tree = rng.lognormal(0.0, 0.1 * differ, size=(FAMILIES, len(CONFIGURATIONS)))
    return PlantedFamilies(1.0 + beyond * level[:, IS_HEAD.astype(int)] * tree)


def _family(tokens: FloatArray, prompts: int, rng: np.random.Generator) -> PricedCalls:
    by_drafter = rng.normal(size=(prompts, 2))[:, IS_HEAD.astype(int)]
    by_growth = rng.normal(size=(prompts, 2 * GROWTHS)).repeat(len(BUDGETS), axis=1)
    by_tree = rng.normal(size=(prompts, len(CONFIGURATIONS)))
    logs = np.zeros_like(by_tree)
    for normal, deviation in (
        (by_drafter, PROMPTS_DIFFER),
        (by_growth, GROWTHS_DIFFER),
        (by_tree, TREES_DIFFER),
    ):
        logs += normal * deviation - deviation**2 / 2  # so that the factor has the mean 1
    calls = np.repeat(6.0 * rng.lognormal(0.0, 0.6, size=(prompts, 1)), len(CONFIGURATIONS), axis=1)
    emitted = calls * (1.0 + (tokens - 1.0) * np.exp(logs))
    return PricedCalls(
        CONFIGURATIONS, np.stack([calls, emitted, calls * TARGET, calls * DRAFT, calls * LOOP])
    )
