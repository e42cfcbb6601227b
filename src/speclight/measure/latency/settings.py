"""Which calls of a target are timed, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers, whole_number
from speclight.errors import InvalidInput
from speclight.models.sampling_settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """Which calls of a target are timed, and how often.

    Sizes, contexts and batch sizes are sorted, and each is timed once a round. Raises InvalidInput for counts
    below 1, and for sizes without 1: everything is set against a plain call.
    """

    node_budgets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    """Nodes of the trees whose calls are timed, the root included, as 1,8,16."""
    context_tokens: tuple[int, ...] = (64, 512, 2048)
    """Committed tokens before the calls, as 64,2048."""
    batch_sizes: tuple[int, ...] = (1,)
    """Texts in one call, each with a tree of its own, as 1,4."""
    rounds: int = 9
    """How often each call is timed; rounds run forwards and backwards in turn."""
    warm_up: int = 2
    """Rounds before those, not counted."""
    loop_calls: int = 8
    """Calls decoded for real, plainly and with each drafter, tree and size, to time growing trees, verifying
    and committing; 0 for none."""
    temperature: float = 1.0
    """Temperature of those decodes: verifying takes longer above 0."""

    def __post_init__(self) -> None:
        for name in ("node_budgets", "context_tokens", "batch_sizes"):
            counts = {whole_number(name, value) for value in getattr(self, name)}
            if not counts:
                raise InvalidInput(f"got no {name}, expected at least one; give a number", argument=name)
            object.__setattr__(self, name, tuple(sorted(counts)))
        check_whole_numbers(self, "rounds", "warm_up")
        check_whole_numbers(self, "loop_calls", at_least=0)
        object.__setattr__(self, "temperature", self.sampling.temperature)
        if self.node_budgets[0] != 1:
            raise InvalidInput(
                f"got node budgets from {self.node_budgets[0]} on, expected 1 among them: everything is set "
                "against a plain call; add it",
                argument="node_budgets",
            )

    @property
    def sampling(self) -> SamplingSettings:
        """The law of those decodes."""
        return SamplingSettings(self.temperature)
