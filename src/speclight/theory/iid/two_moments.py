"""What a formula in two moments of the target says at P: checked, and never outside of 1 to P."""

from __future__ import annotations

from collections.abc import Callable

from speclight.theory.bound import check_moments, check_node_budget

# (mu > 0, m = mu2/mu^2, P) -> tokens per call; infinite where the formula says nothing
Formula = Callable[[float, float, int], float]


def tokens_from_moments(formula: Formula, mu: float, mu2: float, node_budget: int) -> float:
    """The formula's tokens per call, at least 1 and at most P; P for a greedy target (mu = 0).

    mu, mu2: nats, nats^2. Raises InvalidInput for moments or a budget out of range.
    """
    mu2, budget = check_moments(mu, mu2), check_node_budget(node_budget)
    if mu == 0.0:
        return float(budget)
    m = mu2 / mu / mu  # not mu2 / mu**2: the square of a tiny entropy underflows
    return max(1.0, min(float(budget), formula(mu, m, budget)))
