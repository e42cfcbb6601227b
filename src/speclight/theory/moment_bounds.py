"""Every statement on E[X] that needs nothing but mu, mu2 and P, in one call."""

from __future__ import annotations

from speclight.theory.bounds import Bound
from speclight.theory.limits import limit, theorem_1_leading_term
from speclight.theory.upper_bounds import sharpened_theorem_1, theorem_1, trivial


def bounds(*, mu: float, mu2: float, node_budget: int) -> tuple[Bound, ...]:
    """What two moments of the target say about E[X], the expected tokens of one target call.

    mu: mean entropy of the target's next-token law, nats per token, >= 0. mu2: mean of sum p (ln p)^2,
    nats^2, >= mu^2. node_budget: P >= 1, positions scored in one target call, root included. At mu = 0
    (a greedy target) every value is P. Upper bounds come first, then leading terms, then P itself; each
    entry names its side, its assumptions and its source.
    Raises InvalidInput for moments or a budget out of range.
    """
    return (
        theorem_1(mu, mu2, node_budget),
        sharpened_theorem_1(mu, mu2, node_budget),
        limit(mu, node_budget),
        theorem_1_leading_term(mu, mu2, node_budget),
        trivial(node_budget),
    )
