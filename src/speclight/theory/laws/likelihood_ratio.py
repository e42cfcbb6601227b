"""Two token laws sorted by their likelihood ratio: what every race and every coin of this package needs.

With p the target law and q the drafter law, both the race and the rejection rules see the pair only
through two piecewise linear functions of one number, A(c) = sum (c q - p)_+ and S(t) = sum (p - t q)_+.
Sorted once, each value costs one binary search, so vocabularies of any size are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.information import check_laws


def check_law_pair(target: FloatArray, drafter: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both laws [vocabulary], checked as `information.check_laws` does.

    Raises InvalidInput also if one is no vector or if the lengths differ.
    """
    target, drafter = check_laws(target), check_laws(drafter)
    if target.ndim != 1 or target.shape != drafter.shape:
        raise InvalidInput(
            f"target and drafter law must be vectors of one length, got shapes {target.shape} and "
            f"{drafter.shape}; map the drafter's law into the target's vocabulary (missing tokens get 0)"
        )
    return target, drafter


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class LikelihoodRatioOrder:
    """Target law p and drafter law q, with the running sums of both in ascending order of p/q.

    target, drafter: [vocabulary] probabilities. order: token ids by ascending p/q (ties by lowest id);
    tokens with p = q = 0 are left out, tokens with q = 0 < p come last (ratio infinite).
    ratios: [order] p/q. target_before, drafter_before: [order + 1] sums over the first i tokens of the
    order; target_after, drafter_after: [order + 1] sums over the others (summed from the far end, so that
    small tails keep their digits).

    Raises InvalidInput if the laws are no laws or differ in length.
    """

    target: FloatArray
    drafter: FloatArray
    order: IntArray = field(init=False)
    ratios: FloatArray = field(init=False)
    target_before: FloatArray = field(init=False)
    drafter_before: FloatArray = field(init=False)
    target_after: FloatArray = field(init=False)
    drafter_after: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        target, drafter = check_law_pair(self.target, self.drafter)
        ratios = likelihood_ratios(target, drafter)
        order = np.argsort(ratios, kind="stable")
        order = order[(target[order] > 0.0) | (drafter[order] > 0.0)]
        arrays = {"target": target.copy(), "drafter": drafter.copy(), "order": order, "ratios": ratios[order]}
        for name, law in (("target", target), ("drafter", drafter)):
            arrays[f"{name}_before"] = np.concatenate([[0.0], np.cumsum(law[order])])
            arrays[f"{name}_after"] = np.concatenate([np.cumsum(law[order][::-1])[::-1], [0.0]])
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def drafter_excess(self, scale: FloatArray) -> FloatArray:
        """A(c) = sum_i (c q_i - p_i)_+ for each c >= 0 in `scale` (any shape, finite)."""
        split = np.searchsorted(self.ratios, scale, side="left")
        return np.maximum(scale * self.drafter_before[split] - self.target_before[split], 0.0)

    def target_excess(self, scale: FloatArray) -> FloatArray:
        """S(t) = sum_i (p_i - t q_i)_+ for each t >= 0 in `scale` (any shape); S(inf) = p(q = 0)."""
        split = np.searchsorted(self.ratios, scale, side="left")
        served = np.where(np.isinf(scale), 0.0, scale) * self.drafter_after[split]
        return np.maximum(self.target_after[split] - served, 0.0)


def likelihood_ratios(target: FloatArray, drafter: FloatArray) -> FloatArray:
    """[vocabulary] p/q, with p/0 = inf for p > 0 and 0/0 = 0 (such a token takes part in nothing)."""
    impossible = np.where(target > 0.0, np.inf, 0.0)
    with np.errstate(over="ignore"):  # past 1e308 a token counts as one the drafter cannot propose
        return np.divide(target, drafter, out=impossible, where=drafter > 0.0)
