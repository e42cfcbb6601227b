"""The trees by name, and which ones can hold sampled candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

from speclight.drafting.protocol import DraftNoise
from speclight.drafting.race import RaceGrowth, race_of
from speclight.drafting.race_confidence import ConfidenceRaceGrowth
from speclight.drafting.race_shapes import parallel_chains, rank_tree_shape
from speclight.drafting.settings import DrafterSettings
from speclight.drafting.tree_drafter import GrowthStart
from speclight.errors import InvalidInput
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import Growth
from speclight.trees.limited_growth import LimitedGrowth
from speclight.trees.sampled import SampledGrowth
from speclight.trees.shapes import TopRankGrowth, TreeShape, batch, by_choices, chain
from speclight.trees.static_optimum import static_optimum
from speclight.trees.threshold import ThresholdGrowth

ShapeOfBudget = Callable[[int], TreeShape]


RACE_KINDS = ("race", "race_with_replacement", "gls")


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


@dataclass(frozen=True, slots=True)
class FixedShapes:
    """A tree whose shape depends on the budget alone: it holds top-ranked, sampled or raced candidates."""

    shape_of: Callable[[DrafterSettings], ShapeOfBudget]
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GrownTrees:
    """A tree whose shape follows from the drafter's probabilities: deterministic only."""

    growth: Callable[[int, int, DrafterSettings, TokenSet], Growth]
    options: frozenset[str] = frozenset()


def _best_first(root: int, node_budget: int, settings: DrafterSettings, target: TokenSet) -> Growth:
    return BestFirstGrowth(root, node_budget, target.end_of_text)


def _eagle_2(root: int, node_budget: int, settings: DrafterSettings, target: TokenSet) -> Growth:
    return LimitedGrowth(root, node_budget, settings.limits, target.end_of_text)


def _threshold(root: int, node_budget: int, settings: DrafterSettings, target: TokenSet) -> Growth:
    if settings.least_probability is None:
        raise InvalidInput("the tree 'threshold' needs `least_probability`, below which no node is drafted")
    return ThresholdGrowth(root, node_budget, settings.least_probability, target.end_of_text)


def _given_shape(settings: DrafterSettings) -> ShapeOfBudget:
    if not settings.choices:
        raise InvalidInput("the tree 'shape' needs `choices`, the ranks along the path to each drafted node")
    return by_choices(settings.choices).within


def _static_shape(settings: DrafterSettings) -> ShapeOfBudget:
    if not settings.acceptance:
        raise InvalidInput("the tree 'static' needs `acceptance`, one rate for each rank")
    return cache(lambda node_budget: by_choices(static_optimum(settings.acceptance, node_budget).paths))


def _rank_tree(settings: DrafterSettings) -> ShapeOfBudget:
    if not settings.acceptance:
        raise InvalidInput("the tree 'rank' needs `acceptance`, one rate for each rank")
    needs_lower = settings.kind != "race"
    return cache(
        lambda node_budget: rank_tree_shape(settings.acceptance, node_budget, needs_lower_ranks=needs_lower)
    )


def _lists(settings: DrafterSettings) -> ShapeOfBudget:
    if settings.noise_sets is None:
        raise InvalidInput("the tree 'lists' needs `noise_sets`, how many chains to draft side by side")
    return partial(parallel_chains, settings.noise_sets)


@dataclass(frozen=True, slots=True)
class RacedTrees:
    """A tree whose shape follows from the drafter's confidence: for race drafts only."""

    options: frozenset[str] = frozenset({"confidence"})


TREES: dict[str, FixedShapes | GrownTrees | RacedTrees] = {
    "best_first": GrownTrees(_best_first),
    "eagle2": GrownTrees(_eagle_2, frozenset({"limits"})),
    "chain": FixedShapes(lambda settings: lambda node_budget: chain(node_budget - 1)),
    "batch": FixedShapes(lambda settings: lambda node_budget: batch(node_budget - 1)),
    "shape": FixedShapes(_given_shape, frozenset({"choices"})),
    "static": FixedShapes(_static_shape, frozenset({"acceptance"})),
    "rank": FixedShapes(_rank_tree, frozenset({"acceptance"})),
    "lists": FixedShapes(_lists, frozenset({"noise_sets"})),
    "threshold": GrownTrees(_threshold, frozenset({"least_probability"})),
    "confidence": RacedTrees(),
}


def tree_named(name: str) -> FixedShapes | GrownTrees | RacedTrees:
    """The tree of that name. Raises InvalidInput listing the known ones."""
    if name not in TREES:
        raise InvalidInput(f"no draft tree is called {name!r}; known: {', '.join(TREES)}")
    return TREES[name]


def growth_start(settings: DrafterSettings, target: TokenSet) -> GrowthStart:
    """How each draft begins. Raises InvalidInput for an unknown tree, or one that holds no samples."""
    tree = tree_named(settings.tree_name)
    if isinstance(tree, RacedTrees):
        return _confidence_start(settings, target)
    if isinstance(tree, GrownTrees):
        if settings.kind != "deterministic":
            fixed = [name for name, other in TREES.items() if isinstance(other, FixedShapes)]
            raise InvalidInput(
                f"got the tree {settings.tree_name!r} for samples {settings.kind}, expected "
                f"a fixed shape ({', '.join(fixed)}): which samples are kept must not depend on their values"
            )
        return lambda root, node_budget, noise: tree.growth(root, node_budget, settings, target)
    shape_of = tree.shape_of(settings)
    if settings.kind in RACE_KINDS:
        return lambda root, node_budget, noise: RaceGrowth(
            root,
            shape_of(node_budget),
            race_of(noise),
            target.vocabulary_size,
            kind=settings.kind,
            never_drafted=target.end_of_text,
        )
    if settings.kind == "deterministic":
        return lambda root, node_budget, noise: TopRankGrowth(root, shape_of(node_budget), target.end_of_text)

    def sampled(root: int, node_budget: int, noise: DraftNoise) -> Growth:
        return SampledGrowth(
            root,
            shape_of(node_budget),
            target.vocabulary_size,
            noise,
            replacement=settings.kind == "with_replacement",
            never_drafted=target.end_of_text,
        )

    return sampled


def _confidence_start(settings: DrafterSettings, target: TokenSet) -> GrowthStart:
    acceptance = settings.confidence
    if acceptance is None or settings.kind != "race":
        raise InvalidInput(
            "the tree 'confidence' needs `confidence`, rates by the drafter's confidence, and kind race, got "
            f"{'none' if acceptance is None else 'rates'} and kind {settings.kind}"
        )
    return lambda root, node_budget, noise: ConfidenceRaceGrowth(
        root, node_budget, race_of(noise), target.vocabulary_size, acceptance, target.end_of_text
    )
