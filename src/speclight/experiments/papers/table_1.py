"""Table 1: mu and mu2 of a target by data set, from full laws, with what Theorem 1 and ours make of them.

And Assumption 2, that contexts are independent draws: how the surprisals of neighbouring tokens go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.experiments.demo.family_profiles import family_profile
from speclight.experiments.papers.systems import FORMS
from speclight.experiments.papers.texts import Answers
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.theory.catalogue import BY_NAME
from speclight.theory.known import Known, Moments

LIMIT_BUDGET = 60


@dataclass(frozen=True, slots=True)
class MeasuredMoments:
    """One row: a data set at one temperature.

    mu, mu2: nats and nats², means over all contexts of the answers, clustered by prompt. neighbours:
    correlation of the surprisals of neighbouring tokens, 0 under Assumption 2. limits: by FORMS at P =
    LIMIT_BUDGET.
    """

    target: str
    data: str
    temperature: float
    prompts: int
    tokens: int
    mu: Estimate
    mu2: Estimate
    neighbours: Estimate
    limits: dict[str, float]


def measured_moments(target: str, answers: Sequence[Answers]) -> tuple[MeasuredMoments, ...]:
    """The rows of the table, in the order of the answers."""
    return tuple(_row(target, item) for item in answers)


def _row(target: str, item: Answers) -> MeasuredMoments:
    measured = family_profile(item.profile, item.data)
    mu, mu2 = measured.full_mu, measured.full_mu2
    assert mu is not None, "a profile made here has every context's full law"
    assert mu2 is not None
    bounds = Known(Moments(mu.value, mu2.value)).bounds(LIMIT_BUDGET, [BY_NAME[name] for name in FORMS])
    texts = item.profile.texts
    return MeasuredMoments(
        target,
        item.data,
        item.temperature,
        measured.prompts,
        measured.tokens,
        mu,
        mu2,
        _neighbours([text.prompt_id for text in texts], [-text.log_probs for text in texts]),
        {bound.name: bound.value for bound in bounds},
    )


def _neighbours(names: Sequence[str], surprisals: Sequence[FloatArray]) -> Estimate:
    """Correlation of each surprisal with the next one, about the mean of all; by prompt."""
    mean = float(np.concatenate(surprisals).mean())
    around = [values - mean for values in surprisals]
    products = [float(values[:-1] @ values[1:]) for values in around]
    # Half of each neighbour's square: the same terms on both sides, so that the ratio lies in [-1, 1].
    squares = [float((values[:-1] @ values[:-1] + values[1:] @ values[1:]) / 2) for values in around]
    return ratio_of_totals(names, products, squares)
