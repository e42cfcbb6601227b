"""Strata of start contexts, and the thresholds t_P chosen on some texts for use on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import Starts


def _no_edges() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Strata:
    """Start contexts sorted by their feature: stratum k holds edges[k-1] <= feature < edges[k].

    edges: [strata - 1] increasing. No edges: one stratum, and texts need no features.
    """

    edges: FloatArray = field(default_factory=_no_edges)

    def __post_init__(self) -> None:
        if self.edges.ndim != 1 or (np.diff(self.edges) <= 0).any() or np.isnan(self.edges).any():
            raise InvalidInput(f"strata edges must increase strictly, got {self.edges}")

    def __len__(self) -> int:
        return len(self.edges) + 1

    def of(self, features: FloatArray) -> IntArray:
        """Stratum of each feature. Raises InvalidInput on a missing (NaN) feature if there are edges."""
        if not len(self.edges):
            return np.zeros(len(features), dtype=np.int64)
        if np.isnan(features).any():
            raise InvalidInput("stratifying needs features in every text; got texts without")
        return np.searchsorted(self.edges, features, side="right").astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Thresholds:
    """t_P for each stratum: where E N_P crosses P. Made by `choose_thresholds`, best on other prompts.

    values: [strata] nats; infinite where E N_P stays below P (texts end so soon that the best tree holds
    everything). keep_at_atom: [strata] probability that a node with V = t_P exactly belongs to the tree, so
    that the tree holds P nodes on average: (P - E N(t_P-))/(E N(t_P) - E N(t_P-)).
    """

    node_budget: int
    strata: Strata
    values: FloatArray
    keep_at_atom: FloatArray


def quantile_strata(texts: Sequence[SampledText], count: int) -> Strata:
    """Up to `count` strata holding equal shares of all positions; equal edges are merged.

    Choose them on other prompts than those they are used on. Raises InvalidInput if a text has no features or
    count < 1.
    """
    if count < 1:
        raise InvalidInput(f"the number of strata must be at least 1, got {count}")
    features = [text.features for text in texts if text.features is not None]
    if not features or len(features) < len(texts):
        raise InvalidInput(
            f"stratifying needs features in every text; {len(texts) - len(features)} have none"
        )
    pooled = np.concatenate(features)
    edges = np.unique(np.quantile(pooled, np.arange(1, count) / count))
    return Strata(edges[edges > pooled.min()])


def strata_of_starts(strata: Strata, starts: Starts) -> IntArray:
    """[starts] the stratum of each start."""
    return strata.of(starts.features)
