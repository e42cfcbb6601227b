"""Published systems against their limits: what the published moments allow, and what was reached of it.

Two moments, and contexts taken as independent draws: neither is true of a language model, so a share of
these limits is a share of what a target with these moments could give, no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from speclight.experiments.papers.published import SYSTEMS, TABLE_1, PublishedMoments
from speclight.theory.catalogue import BY_NAME
from speclight.theory.known import Known, Moments

# As printed, Theorem 1 with its correct envelope, the sharpest form from the same moments and its lower
# partner, and the leading term that the paper plots.
FORMS = ("theorem_1", "sharpened_theorem_1", "two_moments", "two_moments_lower", "limit")
SYSTEM_BUDGET = 60


@dataclass(frozen=True, slots=True)
class SystemBesideLimits:
    """A published system and what the moments of its target on its data say at P = SYSTEM_BUDGET.

    share_of_two_moments: of the sharpest upper bound from the two moments. above_leading_term: whether more
    was reached than ln(P)/mu, which the paper plots as the limit.
    """

    target: str
    data: str
    drafter: str
    source: str
    tokens_per_call: float
    moments: PublishedMoments
    limits: dict[str, float]

    @property
    def share_of_two_moments(self) -> float:
        """See the class."""
        return self.tokens_per_call / self.limits["two_moments"]

    @property
    def above_leading_term(self) -> bool:
        """See the class."""
        return self.tokens_per_call > self.limits["limit"]


def published_values(row: PublishedMoments, node_budget: int) -> dict[str, float]:
    """Tokens per call by each of FORMS at P. Raises InvalidInput for a budget below 1."""
    known = Known(Moments(row.mu, row.mu2))
    return {bound.name: bound.value for bound in known.bounds(node_budget, [BY_NAME[name] for name in FORMS])}


def systems_beside_limits() -> tuple[SystemBesideLimits, ...]:
    """Every published system whose target and data have published moments."""
    moments = {(row.target, row.data): row for row in TABLE_1}
    return tuple(
        SystemBesideLimits(
            system.target,
            system.data,
            system.drafter,
            system.source,
            system.tokens_per_call,
            moments[system.target, system.data],
            published_values(moments[system.target, system.data], SYSTEM_BUDGET),
        )
        for system in SYSTEMS
    )
