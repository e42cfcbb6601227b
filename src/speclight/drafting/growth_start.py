"""How the draft of a chosen tree begins."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from speclight.drafting.protocol import DraftNoise
from speclight.drafting.race import RaceGrowth, race_of
from speclight.drafting.race_confidence import ConfidenceRaceGrowth
from speclight.drafting.tree_choices import (
    BestFirst,
    ConfidenceTree,
    Eagle2,
    FixedShape,
    Lists,
    Threshold,
    TreeChoice,
)
from speclight.drafting.tree_drafter import GrowthStart
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import Growth
from speclight.trees.limited_growth import LimitedGrowth
from speclight.trees.sampled import SampledGrowth
from speclight.trees.shapes import TopRankGrowth
from speclight.trees.threshold import ThresholdGrowth


class TokenSet(Protocol):
    """What growing a tree needs to know of a target: how many tokens there are, and which end a text."""

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        ...

    @property
    def end_of_text(self) -> frozenset[int]:
        """Those after which a text is over; they are never drafted."""
        ...


def growth_start(tree: TreeChoice, target: TokenSet) -> GrowthStart:
    """The function that begins each draft."""
    ends = target.end_of_text
    match tree:
        case BestFirst():
            return lambda root, node_budget, noise: BestFirstGrowth(root, node_budget, ends)
        case Eagle2(limits):
            return lambda root, node_budget, noise: LimitedGrowth(root, node_budget, limits, ends)
        case Threshold(least):
            return lambda root, node_budget, noise: ThresholdGrowth(root, node_budget, least, ends)
        case ConfidenceTree(acceptance):
            return lambda root, node_budget, noise: ConfidenceRaceGrowth(
                root, node_budget, race_of(noise), target.vocabulary_size, acceptance, ends
            )
        case FixedShape() | Lists():
            return _shaped(tree, target)


def _shaped(tree: FixedShape | Lists, target: TokenSet) -> GrowthStart:
    shape_of = cache(tree.shape)  # an optimum takes time, and budgets recur
    vocabulary_size, ends, kind = target.vocabulary_size, target.end_of_text, tree.kind
    if kind == "deterministic":
        return lambda root, node_budget, noise: TopRankGrowth(root, shape_of(node_budget), ends)
    if kind == "with_replacement" or kind == "without_replacement":

        def sampled(root: int, node_budget: int, noise: DraftNoise) -> Growth:
            return SampledGrowth(
                root,
                shape_of(node_budget),
                vocabulary_size,
                noise,
                replacement=kind == "with_replacement",
                never_drafted=ends,
            )

        return sampled
    return lambda root, node_budget, noise: RaceGrowth(
        root, shape_of(node_budget), race_of(noise), vocabulary_size, kind=kind, never_drafted=ends
    )
