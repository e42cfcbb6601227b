"""How far the ergodic renewal bound lies above the true limit, at the very starts that were searched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.experiments.demo.record import BoundGap
from speclight.measure.estimates import mean_over
from speclight.measure.profile import Profile
from speclight.measure.trace.record import Trace
from speclight.theory.ergodic.bound import ergodic_renewal
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import starts_shared_by_budgets


def bound_gaps(
    profile: Profile, oracle: Trace, family: str, node_budgets: Sequence[int]
) -> tuple[BoundGap, ...]:
    """Bound minus oracle, start by start, at every node budget that the oracle searched.

    At a start c with threshold t the bound's term is P e^-t + sum_d (1 - e^(S_d - t))^+ along the sampled
    text; its expectation over texts is at least the best tree's E[X | c], whatever t (dual form, see
    `speclight.theory.ergodic.bound`). So the mean of the differences is at or above 0 but for sampling error,
    and their interval leaves out what differs between starts. t is the bound's own, from all the texts.
    """
    texts = profile.sampled_texts(family)
    by_key = {text.key: own for text, own in zip(profile.of_family(family), texts, strict=True)}
    shared = starts_shared_by_budgets(texts, oracle.settings.largest_budget)
    starts = oracle.of_family(family)
    gaps: list[BoundGap] = []
    for budget in (each for each in node_budgets if each <= oracle.settings.largest_budget):
        threshold = float(ergodic_renewal(texts, budget, start_law=shared).thresholds[0])
        differences = [
            _bound_term(by_key[start.key], start.start, budget, threshold) - start.best_tokens(budget)
            for start in starts
        ]
        gaps.append(BoundGap(budget, mean_over([start.prompt_id for start in starts], differences)))
    return tuple(gaps)


def _bound_term(text: SampledText, start: int, node_budget: int, threshold: float) -> float:
    """The dual form's term of one start. The end of a text is no node, so it adds no depth."""
    depths = min(node_budget - 1, len(text) - text.ended - start)
    sums = np.concatenate([[0.0], np.cumsum(text.surprisals[start : start + depths])])
    below = sums[sums <= threshold]
    return float(node_budget * np.exp(-threshold) + (1.0 - np.exp(below - threshold)).sum())
