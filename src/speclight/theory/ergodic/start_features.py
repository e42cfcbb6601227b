"""What is known at a start and may sort it into a stratum, and strata chosen from it on held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.ergodic.strata import Strata, quantile_strata
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean

FeatureName = Literal["entropy", "recent", "both"]
FEATURES: tuple[FeatureName, ...] = ("entropy", "recent", "both")
# Tokens looked back on by "recent": long enough to tell an easy stretch from one easy token.
RECENT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class StartSorter:
    """Sorts starts into strata; made by `choose_sorter` on some texts, used on others.

    feature: entropy of the law at the start, mean of the recent surprisals, or both crossed. entropy_strata,
    recent_strata: the quantiles chosen; a single stratum where the feature does not use them.
    """

    feature: FeatureName
    entropy_strata: Strata
    recent_strata: Strata

    @property
    def strata(self) -> Strata:
        """The strata of the labels that `sorted_texts` puts in place of the features."""
        count = len(self.entropy_strata) * len(self.recent_strata)
        return Strata(np.arange(1, count, dtype=np.float64) - 0.5)

    def sorted_texts(self, texts: Sequence[SampledText]) -> list[SampledText]:
        """The texts with every start's stratum number as its feature. Texts come with entropies."""
        return [replace(text, features=self._labels(text)) for text in texts]

    def _labels(self, text: SampledText) -> FloatArray:
        recent = recent_surprisal_mean(text.surprisals, RECENT_TOKENS)
        by_recent = self.recent_strata.of(recent)
        by_entropy = self.entropy_strata.of(_entropies(text))
        return (by_entropy * len(self.recent_strata) + by_recent).astype(np.float64)


def choose_sorter(texts: Sequence[SampledText], feature: FeatureName, count: int) -> StartSorter:
    """Strata of about equal shares of the texts' positions: `count`, or two per feature if both are crossed.

    Raises InvalidInput for texts without entropies as their features, or count < 1.
    """
    by_entropy, by_recent = {"entropy": (count, 1), "recent": (1, count), "both": (2, 2)}[feature]
    recent = [replace(t, features=recent_surprisal_mean(t.surprisals, RECENT_TOKENS)) for t in texts]
    return StartSorter(feature, quantile_strata(texts, by_entropy), quantile_strata(recent, by_recent))


def _entropies(text: SampledText) -> FloatArray:
    if text.features is None:
        raise InvalidInput(f"sorting starts needs their entropies; the text of {text.prompt_id!r} has none")
    return text.features
