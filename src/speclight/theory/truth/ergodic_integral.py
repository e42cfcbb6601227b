"""The ergodic renewal bound written out as its integral: slow, short, the yardstick of `ergodic_renewal`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, eligible_starts


def ergodic_renewal_integral(
    texts: Sequence[SampledText], node_budget: int, start_law: StartLaw | None = None
) -> float:
    """int_0^inf e^-t min(P, E N_P(t)) dt, where E N_P is the step function that the texts' atoms make.

    Equal, up to rounding, to the smallest dual form, hence to `ergodic_renewal(...).value` without strata.
    Every pair (start, depth) is visited and sorted: for tests and for reading, not for many tokens. Arguments
    and errors as in `ergodic_renewal`.
    """
    starts = eligible_starts(texts, node_budget, start_law)
    sums: list[float] = []
    weights: list[float] = []
    for position, deepest, weight in zip(starts.positions, starts.deepest, starts.weights, strict=True):
        spine = 0.0
        for depth in range(int(deepest) + 1):
            if depth:
                spine += float(starts.flat[position + depth - 1])
            sums.append(spine)
            weights.append(float(weight))
    order = np.argsort(sums, kind="stable")
    levels, atom_weights = np.array(sums)[order], np.array(weights)[order]
    # Atoms beyond t = 600 add less than e^-600 P; cutting the exponent there keeps e^S finite.
    nodes = np.cumsum(atom_weights * np.exp(np.minimum(levels, 600.0))) / starts.weights.sum()
    survival = np.append(np.exp(-levels), 0.0)
    return float((np.minimum(node_budget, nodes) * -np.diff(survival)).sum())
