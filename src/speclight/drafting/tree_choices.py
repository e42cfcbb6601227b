"""The draft trees that can be chosen, and what each needs to be told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from speclight.checks import check_whole_numbers, whole_number
from speclight.drafting.race_confidence import AcceptanceByConfidence
from speclight.drafting.race_shapes import parallel_chains, rank_tree_shape
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind
from speclight.trees.limited_growth import GrowthLimits
from speclight.trees.shapes import TreeShape, batch, by_choices, chain
from speclight.trees.static_optimum import RankPath, static_optimum
from speclight.trees.threshold import check_least_probability

# Every kind but "gls", whose candidates follow one noise set down each chain: see `Lists`.
ShapedKind = Literal[
    "deterministic", "with_replacement", "without_replacement", "race", "race_with_replacement"
]


@dataclass(frozen=True, slots=True)
class BestFirst:
    """The P most probable paths under the drafter, of any depth and width.

    Source: Lemma 1 of arXiv 2512.11718v1.
    """

    kind: ClassVar[DraftKind] = "deterministic"


@dataclass(frozen=True, slots=True)
class Eagle2:
    """The P most probable paths among those that EAGLE-2 looks at (arXiv 2406.16858)."""

    limits: GrowthLimits = field(default_factory=GrowthLimits)
    kind: ClassVar[DraftKind] = "deterministic"

    def __post_init__(self) -> None:
        if not isinstance(self.limits, GrowthLimits):
            raise InvalidInput(
                f"got the limits {self.limits!r}, expected GrowthLimits (speclight.trees.limited_growth); "
                "leave them out for those of EAGLE-2"
            )


@dataclass(frozen=True, slots=True)
class Threshold:
    """Every path more probable than `least_probability`, P nodes at most: see docs/theory/seconds.md.

    Raises InvalidInput for a probability outside (0, 1).
    """

    least_probability: float
    kind: ClassVar[DraftKind] = "deterministic"

    def __post_init__(self) -> None:
        check_least_probability(self.least_probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedShape(ABC):
    """A tree whose shape depends on the node budget alone, so that it can hold candidates of any kind.

    kind: whether candidates are the most probable ones, samples, or the first of a race. Raises InvalidInput
    for another kind, and for what no tree with a drafted token can be made of.
    """

    kind: ShapedKind = "deterministic"

    def __post_init__(self) -> None:
        if self.kind not in get_args(ShapedKind):
            raise InvalidInput(
                f"got kind {self.kind!r}, expected one of {', '.join(get_args(ShapedKind))}; "
                "gls is the kind of Lists alone"
            )
        if len(self.shape(2)) == 1:
            raise InvalidInput(f"got {self}, expected at least one token to draft; say which ranks to draft")

    @abstractmethod
    def shape(self, node_budget: int) -> TreeShape:
        """The tree of at most that many nodes, root included."""


@dataclass(frozen=True, slots=True)
class Chain(FixedShape):
    """P - 1 tokens in a row."""

    def shape(self, node_budget: int) -> TreeShape:
        """See FixedShape."""
        return chain(node_budget - 1)


@dataclass(frozen=True, slots=True)
class Batch(FixedShape):
    """P - 1 children of the root."""

    def shape(self, node_budget: int) -> TreeShape:
        """See FixedShape."""
        return batch(node_budget - 1)


@dataclass(frozen=True, slots=True)
class Shape(FixedShape):
    """The nodes listed, as in Medusa's `medusa_choices`; of a small budget the first P.

    choices: for each drafted node the ranks from the root to it, see `by_choices`.
    """

    choices: tuple[RankPath, ...]

    def __post_init__(self) -> None:
        try:
            paths = tuple(tuple(whole_number("a rank", rank, 0) for rank in path) for path in self.choices)
        except TypeError as error:
            raise InvalidInput(
                f"got the choices {self.choices!r}, expected the ranks down to each node; give them as in "
                "((0,), (0, 1))"
            ) from error
        object.__setattr__(self, "choices", paths)
        FixedShape.__post_init__(self)  # super() does not know a class with slots

    def shape(self, node_budget: int) -> TreeShape:
        """See FixedShape."""
        return by_choices(self.choices).within(node_budget)


@dataclass(frozen=True, slots=True)
class Static(FixedShape):
    """Sequoia's optimum (arXiv 2402.12374): the best fixed tree if acceptance depends on the rank alone.

    acceptance: [ranks] how often the candidate of each rank is the accepted one, the best first.
    """

    acceptance: tuple[float, ...]

    def __post_init__(self) -> None:
        _read_rates(self)
        FixedShape.__post_init__(self)

    def shape(self, node_budget: int) -> TreeShape:
        """See FixedShape."""
        return by_choices(static_optimum(self.acceptance, node_budget).paths)


@dataclass(frozen=True, slots=True)
class RankTree(FixedShape):
    """The best static tree of ranks in which, for kind race, a rank may be drafted without the lower ones.

    acceptance: as for Static.
    """

    acceptance: tuple[float, ...]

    def __post_init__(self) -> None:
        _read_rates(self)
        FixedShape.__post_init__(self)

    def shape(self, node_budget: int) -> TreeShape:
        """See FixedShape."""
        return rank_tree_shape(self.acceptance, node_budget, needs_lower_ranks=self.kind != "race")


@dataclass(frozen=True, slots=True)
class Lists:
    """Chains of one length side by side, one for each noise set of the rule gls (arXiv 2506.05632).

    Raises InvalidInput unless there is at least one set.
    """

    noise_sets: int
    kind: ClassVar[DraftKind] = "gls"

    def __post_init__(self) -> None:
        check_whole_numbers(self, "noise_sets")

    def shape(self, node_budget: int) -> TreeShape:
        """The chains, as long as the budget allows, root included."""
        return parallel_chains(self.noise_sets, node_budget)


@dataclass(frozen=True, slots=True)
class ConfidenceTree:
    """A race's rank tree grown for each context, from how sure the drafter is along every path.

    acceptance: rates by the drafter's confidence and the candidate's rank.
    """

    acceptance: AcceptanceByConfidence
    kind: ClassVar[DraftKind] = "race"

    def __post_init__(self) -> None:
        if not isinstance(self.acceptance, AcceptanceByConfidence):
            raise InvalidInput(
                f"got the acceptance {self.acceptance!r}, expected AcceptanceByConfidence "
                "(speclight.drafting.race_confidence); for rates by rank alone, give a RankTree"
            )


def _read_rates(tree: Static | RankTree) -> None:
    """The rates of a (frozen) tree as a tuple of floats. Raises InvalidInput for anything but numbers."""
    try:
        rates = tuple(float(rate) for rate in tree.acceptance)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"got acceptance {tree.acceptance!r}, expected a rate for each rank; give them as in (0.6, 0.2)"
        ) from error
    object.__setattr__(tree, "acceptance", rates)


TreeChoice = BestFirst | Eagle2 | Threshold | FixedShape | Lists | ConfidenceTree


def default_tree(kind: DraftKind) -> TreeChoice:
    """What is drafted if only the kind is given. Raises InvalidInput for gls, which has no default."""
    if kind == "deterministic":
        return BestFirst()
    if kind == "gls":
        raise InvalidInput(
            "drafts of kind gls need a number of noise sets, got none; give the tree Lists(noise_sets), or "
            "lists=NUMBER on the command line"
        )
    return Chain(kind=kind)
