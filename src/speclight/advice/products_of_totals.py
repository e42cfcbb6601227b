"""Ratios of totals over prompts, and their products, with intervals on the logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.estimates import Estimate, half_width


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class ProductOfTotals:
    """A product of totals over a product of as many totals, each [prompts]."""

    over: tuple[FloatArray, ...]
    under: tuple[FloatArray, ...]

    def __mul__(self, other: ProductOfTotals) -> ProductOfTotals:
        return ProductOfTotals((*self.over, *other.over), (*self.under, *other.under))

    @property
    def value(self) -> float:
        """The product."""
        # Pair by pair, so that no product of many totals grows out of range or rounds more than its ratio.
        return float(
            np.prod([over.sum() / under.sum() for over, under in zip(self.over, self.under, strict=True)])
        )

    def estimate(self, scale: float = 1.0) -> Estimate:
        """`scale` times the value, with a 95% interval on its logarithm, clustered by prompt.

        The logarithm is linearised in the totals: a prompt moves it by the sum of its shares in the totals
        above less those below.
        """
        value, prompts = scale * self.value, len(self.over[0])
        if prompts == 1:
            return Estimate(value, None, None, None, 1)
        moved = sum(array / array.sum() for array in self.over) - sum(
            array / array.sum() for array in self.under
        )
        error = sqrt(prompts / (prompts - 1) * float((np.asarray(moved) ** 2).sum()))
        half = half_width(error, prompts)
        return Estimate(value, value * error, value * exp(-half), value * exp(half), prompts)
