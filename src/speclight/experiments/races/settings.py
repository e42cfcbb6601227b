"""The parts of the race experiment, and how much of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from speclight.errors import InvalidInput
from speclight.experiments.races.text_settings import RaceTextSettings

# Starts of calls in every text: its first contexts, so that each has as many contexts after it.
STARTS = 12


@dataclass(frozen=True, slots=True)
class TreePlan:
    """How many trees are drafted.

    starts: contexts per text, spread over the first STARTS. seeds: drafts per context, budget and kind.

    Raises InvalidInput for starts outside 1..STARTS or fewer than 2 seeds, which leave their noise unknown.
    """

    starts: int = 2
    seeds: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.starts <= STARTS or self.seeds < 2:
            raise InvalidInput(
                f"got {self.starts} starts and {self.seeds} seeds, expected 1 to {STARTS} and >= 2"
            )

    def places(self, number: int) -> list[int]:
        """The contexts of a text of that number."""
        return [(number + place * STARTS // self.starts) % STARTS for place in range(self.starts)]


@dataclass(frozen=True, slots=True)
class InvarianceSettings:
    """How many texts show drafter invariance.

    prompts: the first ones given; 0 leaves the part out. tokens: of each text. node_budgets: P.
    """

    prompts: int = 0
    tokens: int = 32
    node_budgets: tuple[int, ...] = (2, 8, 17)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.prompts < 0 or self.tokens < 1:
            raise InvalidInput(
                f"got {self.prompts} prompts and {self.tokens} tokens, expected >= 0 and >= 1; "
                "0 prompts leave drafter invariance out"
            )
        if min(self.node_budgets, default=0) < 1:
            raise InvalidInput(
                f"got node_budgets {self.node_budgets}, expected at least one, all >= 1; 1 is plain decoding",
                argument="node_budgets",
            )


@dataclass(frozen=True, slots=True)
class RaceExperimentSettings:
    """The parts of the race experiment. Raises InvalidInput as their settings do."""

    texts: RaceTextSettings = field(default_factory=RaceTextSettings)
    """Which texts races and coins are compared on."""
    tree_starts: int = 0
    """Contexts per text at which trees are really drafted and scored, for traversal and the tree confidence;
    0 leaves this part out, which takes some seconds of one core per context."""
    tree_seeds: int = 4
    """Drafts at each of these contexts, for every tree and number of drafted tokens."""
    tree_temperatures: tuple[float, ...] = (1.0,)
    """Which of the temperatures this part is run at."""
    tree_drafters: tuple[str, ...] = ()
    """Which of the drafters it is run for; all if not given."""
    invariance_prompts: int = 0
    """Prompts decoded by the rule race with every drafter, to show one text for all; 0 leaves this out."""
    invariance_tokens: int = 32
    """Tokens of each of these texts."""
    node_budgets: tuple[int, ...] = (2, 8, 17)
    """Node budgets P of these texts, as 2,8,17."""

    def __post_init__(self) -> None:
        _ = self.trees, self.invariance  # which check their numbers

    @property
    def trees(self) -> TreePlan | None:
        """How many trees are drafted; None leaves them out."""
        return TreePlan(self.tree_starts, self.tree_seeds) if self.tree_starts else None

    @property
    def invariance(self) -> InvarianceSettings:
        """How many texts show drafter invariance."""
        return InvarianceSettings(self.invariance_prompts, self.invariance_tokens, self.node_budgets)
