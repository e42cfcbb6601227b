"""How much is sampled and searched for the check of the many-to-one identity."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ManyToOneSettings:
    """How much is sampled and searched for the check. Raises InvalidInput for numbers that are too small."""

    contexts: int = 12
    """Contexts, spread evenly over all tokens of the profile."""
    continuations: int = 400
    """Texts sampled from each context."""
    node_budget: int = 60
    """Nodes searched below each context; counts are compared at levels that hold 4, 16 and one fewer."""
    seed: int = 0
    """Seed of the choice of contexts and of the continuations."""

    def __post_init__(self) -> None:
        if self.contexts < 1 or self.continuations < 2 or self.node_budget < 2:
            raise InvalidInput(
                "the check needs a context, two continuations of it and two nodes at the least, got "
                f"{self.contexts}, {self.continuations} and {self.node_budget}"
            )

    @property
    def ranks(self) -> tuple[int, ...]:
        """The numbers of nodes at whose levels counts are compared, rising: all known to the search."""
        return tuple(sorted({rank for rank in (4, 16, self.node_budget - 1) if rank < self.node_budget}))
