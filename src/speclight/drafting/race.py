"""Draft trees whose candidates are ranked by the noise that the target's own choice will be made with."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.drafting.protocol import DraftNoise
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, SampledChildren
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.race_noise import RaceView, race_order
from speclight.trees.shaped_growth import ShapedGrowth
from speclight.trees.shapes import TreeShape


@runtime_checkable
class SharesRace(Protocol):
    """Draft noise that holds the race of the coming verdict."""

    @property
    def race(self) -> RaceView | None:
        """Its view from the root of this draft; None where there is none."""
        ...


def race_of(noise: DraftNoise) -> RaceView:
    """The race in this noise. Raises InvalidInput if there is none."""
    race = noise.race if isinstance(noise, SharesRace) else None
    if race is None:
        raise InvalidInput(
            "this draft noise holds no race to rank candidates with; draft with GeneratorNoise and a "
            "RaceView, as decoding with SeededNoise does"
        )
    return race


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate for one place of a shape: its index in the law."""

    place: int
    candidate: int


# (law without undraftable tokens, depth, places wanted below the node) -> what goes there; places for which
# nothing is left are missing, one candidate may go to several
Placement = Callable[[CandidateLaw, int, IntArray], list[Placed]]


class RaceGrowth(ShapedGrowth):
    """Fills the places of a shape with a race's candidates, level by level.

    A token that two places of one node share is one node, which then also holds the places below both.
    kind: "race": the place of rank r holds the token of rank r of E / q, any set of ranks. Otherwise the
    order of siblings counts, not their ranks: "race_with_replacement": the m-th sibling is the m-th arrival;
    "gls": the shape is chains of one length from the root, nodes level by level; chain k follows noise set k.
    never_drafted: tokens that never become nodes (end of text): ranks are counted among the others.
    Source: ERSD of arXiv 2504.15475 (reconstruction, see verification/race.py) and GLS of arXiv 2506.05632.
    Raises InvalidInput for another kind, or for "gls" with a shape that is not made of such chains.
    """

    def __init__(
        self,
        root_token: int,
        shape: TreeShape,
        race: RaceView,
        vocabulary_size: int,
        *,
        kind: DraftKind = "race",
        never_drafted: Collection[int] = (),
    ) -> None:
        super().__init__(root_token, shape, kind, never_drafted)
        self._race = race
        self._vocabulary_size = vocabulary_size
        self._placement = self._placement_of(kind)

    def expand(self, node: int, law: CandidateLaw) -> None:
        """See Growth."""
        self._level.remove(node)
        keep = np.isfinite(law.log_probs) & ~np.isin(law.tokens, self._never_drafted)
        draftable = CandidateLaw(law.tokens[keep], law.log_probs[keep])
        placed = self._placement(draftable, self.known.depths[node], np.array(self._wanted(node)))
        distinct = list(dict.fromkeys(item.candidate for item in placed))
        # A law summed in float32 may give its only token a hair more than 1.
        added = self.known.add(
            node, draftable.tokens[distinct], np.minimum(draftable.log_probs[distinct], 0.0)
        )
        draws = self._filled(
            dict(zip(distinct, added, strict=True)),
            [item.candidate for item in placed],
            [item.place for item in placed],
        )
        if placed and self._kind != "race":
            self._samples[node] = SampledChildren(self._dense(draftable), np.array(draws))

    def _placement_of(self, kind: DraftKind) -> Placement:
        if kind == "race":
            return self._by_rank
        if kind == "race_with_replacement":
            return self._by_arrival
        if kind != "gls":
            raise InvalidInput(f"got a {kind} race draft, expected race, race_with_replacement or gls")
        sets, nodes = self._noise_sets, np.arange(1, len(self._shape))
        if not np.array_equal(self._shape.parents[1:], np.maximum(nodes - sets, 0)):
            raise InvalidInput("gls drafts chains of one length, one for each noise set, got another shape")
        return self._by_noise_set

    @property
    def _noise_sets(self) -> int:
        return int((self._shape.parents == 0).sum())

    def _by_rank(self, law: CandidateLaw, depth: int, wanted: IntArray) -> list[Placed]:
        ranks = self._shape.ranks[wanted]
        order = race_order(law.tokens, law.log_probs, self._times(depth), int(ranks.max()) + 1)
        return [
            Placed(place, int(order[rank]))
            for place, rank in zip(wanted.tolist(), ranks.tolist(), strict=True)
            if rank < len(order)
        ]

    def _by_arrival(self, law: CandidateLaw, depth: int, wanted: IntArray) -> list[Placed]:
        order = race_order(law.tokens, law.log_probs, self._times(depth), len(wanted))
        found = _arrivals(law, self._race, depth, self._times(depth), order, len(wanted))
        return [Placed(place, candidate) for place, candidate in zip(wanted.tolist(), found, strict=False)]

    def _by_noise_set(self, law: CandidateLaw, depth: int, wanted: IntArray) -> list[Placed]:
        if not len(law.tokens):
            return []
        placed: list[Placed] = []
        for place in wanted.tolist():
            times = self._times(depth, (place - 1) % self._noise_sets)
            placed.append(Placed(place, int(race_order(law.tokens, law.log_probs, times, 1)[0])))
        return placed

    def _times(self, depth: int, noise_set: int = 0) -> FloatArray:
        return self._race.times(depth, self._vocabulary_size, noise_set)

    def _dense(self, law: CandidateLaw) -> FloatArray:
        """[vocab] the law given that the token may be drafted."""
        probabilities = np.zeros(self._vocabulary_size)
        probabilities[law.tokens] = np.exp(law.log_probs)
        return probabilities / probabilities.sum()


def _arrivals(
    law: CandidateLaw, race: RaceView, depth: int, times: FloatArray, firsts: IntArray, count: int
) -> list[int]:
    """The candidates of the first `count` arrivals, repeats included; `firsts`: the distinct ones."""
    # (log of time / q, token, candidate, time, arrivals so far)
    heap = [
        (float(np.log(times[token]) - law.log_probs[place]), int(token), int(place), float(times[token]), 1)
        for place, token in ((place, law.tokens[place]) for place in firsts)
    ]
    heapq.heapify(heap)
    found: list[int] = []
    while heap and len(found) < count:
        _, token, place, time, arrival = heap[0]
        found.append(place)
        later = time + race.gap(depth, token, arrival)
        key = float(np.log(later) - law.log_probs[place])
        heapq.heapreplace(heap, (key, token, place, later, arrival + 1))
    return found
