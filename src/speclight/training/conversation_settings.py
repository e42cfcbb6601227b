"""How conversations are sampled for training."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.checks import check_whole_numbers, finite_number
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How conversations are sampled. Raises InvalidInput for counts below 1, or a share that is none."""

    rows: int = 128
    """Conversations sampled at the same time."""
    shortest_request: int = 5
    """Tokens; a shorter request is thrown away."""
    longest_request: int = 160
    """Tokens; a request that does not end by then is thrown away."""
    longest_answer: int = 224
    """Tokens; a longer answer is cut."""
    greedy_share: float = 0.65
    """Share of the answers sampled at temperature 0; the others are at 1."""
    loop_length: int = 8
    """An answer ends where its last tokens, this many, have stood in it twice before."""

    def __post_init__(self) -> None:
        check_whole_numbers(
            self, "rows", "shortest_request", "longest_request", "longest_answer", "loop_length"
        )
        expected = "a share from 0 to 1"
        share = finite_number("greedy_share", self.greedy_share, expected, "1 is all greedy")
        if not 0.0 <= share <= 1.0:
            raise InvalidInput(
                f"got greedy_share {share}, expected {expected}; 1 is all greedy", argument="greedy_share"
            )
