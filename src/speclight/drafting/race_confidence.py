"""Rank trees that look at the drafter's confidence: acceptance by (bucket, rank), grown per context."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.races.matching import RankLaw
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, GrowingTree
from speclight.trees.race_noise import RaceView, race_order


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class AcceptanceByConfidence:
    """P(the candidate of rank m is the emitted token | bucket of the drafter's confidence).

    The confidence is the drafter's largest probability. edges: [buckets - 1] rising; bucket b holds
    confidences from edges[b - 1] (included) to edges[b]. rates: [buckets, ranks], rank 1 first; each row is
    >= 0 and sums to at most 1. Raises InvalidInput if any of this does not hold.
    """

    edges: FloatArray
    rates: FloatArray

    def __post_init__(self) -> None:
        edges, rates = np.array(self.edges, dtype=np.float64), np.array(self.rates, dtype=np.float64)
        if (
            edges.ndim != 1
            or rates.ndim != 2
            or len(rates) != len(edges) + 1
            or (np.diff(edges) <= 0.0).any()
        ):
            raise InvalidInput(
                f"got edges of shape {edges.shape} and rates of shape {rates.shape}, expected rising edges "
                "[buckets - 1] and rates [buckets, ranks]"
            )
        if not (rates >= 0.0).all() or (rates.sum(axis=1) > 1.0 + SUM_ATOL).any():
            raise InvalidInput("acceptance rates must be >= 0 and sum to at most 1 in each bucket")
        for name, array in (("edges", edges), ("rates", rates)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def bucket(self, confidence: float) -> int:
        """The bucket of a drafter's largest probability."""
        return int(np.searchsorted(self.edges, confidence, side="right"))


SUM_ATOL = 1e-6  # rates are means of rank laws computed to about this


def acceptance_by_confidence(
    confidences: FloatArray, laws: Sequence[RankLaw], buckets: int
) -> AcceptanceByConfidence:
    """Mean rank law of calibration contexts in buckets of equally many contexts.

    confidences: [contexts]. laws: one a context, to one largest rank. Buckets that equal confidences would
    leave empty are dropped. Raises InvalidInput without contexts, for unequal lengths or buckets < 1.
    """
    if not 0 < len(laws) == len(confidences) or buckets < 1:
        raise InvalidInput(
            f"got {len(confidences)} confidences, {len(laws)} rank laws and {buckets} buckets, expected one "
            "law for each of at least one confidence and at least one bucket"
        )
    inner = np.quantile(confidences, np.arange(1, buckets) / buckets)
    edges = np.unique(inner[inner > confidences.min()])
    bucket = np.searchsorted(edges, confidences, side="right")
    table = np.stack([law.probabilities for law in laws])
    rates = np.stack([table[bucket == number].mean(axis=0) for number in range(len(edges) + 1)])
    return AcceptanceByConfidence(edges, rates)


class ConfidenceRaceGrowth:
    """Grows the tree of the paths likeliest to be emitted, judged by (bucket, rank) along each path.

    As BestFirstGrowth, with the acceptance of a candidate's rank in its parent's bucket in place of the
    drafter's probability of the token. Which ranks are drafted depends on the drafter's laws, never on the
    target's; race verification is lossless for any draft. With one bucket it grows the static rank tree.
    Origin: the paper (arXiv 2504.15475, as summarised in public) names the missing context as a limitation;
    this answer to it is ours.
    """

    def __init__(
        self,
        root_token: int,
        node_budget: int,
        race: RaceView,
        vocabulary_size: int,
        acceptance: AcceptanceByConfidence,
        never_drafted: Collection[int] = (),
    ) -> None:
        self._best_first = BestFirstGrowth(root_token, node_budget)
        self._race = race
        self._vocabulary_size = vocabulary_size
        self._acceptance = acceptance
        self._never_drafted = np.array(sorted(never_drafted), dtype=np.int64)

    @property
    def known(self) -> GrowingTree:
        """See Growth."""
        return self._best_first.known

    def unexpanded(self) -> list[int]:
        """See Growth."""
        return self._best_first.unexpanded()

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        keep = np.isfinite(law.log_probs) & ~np.isin(law.tokens, self._never_drafted)
        tokens, log_probs = law.tokens[keep], law.log_probs[keep]
        confidence = float(np.exp(log_probs.max(initial=-np.inf)))
        rates = self._acceptance.rates[self._acceptance.bucket(confidence)]
        times = self._race.times(self.known.depths[node], self._vocabulary_size)
        order = race_order(tokens, log_probs, times, len(rates))
        with np.errstate(divide="ignore"):  # a rank never accepted is never drafted
            scores = np.log(np.minimum(rates[: len(order)], 1.0))
        self._best_first.expand(node, CandidateLaw(tokens[order], scores))

    def tree(self) -> DraftTree:
        """The tree; its log_probs are those of the acceptance estimates."""
        return replace(self._best_first.tree(), kind="race")
