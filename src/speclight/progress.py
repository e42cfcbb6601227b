"""How long-running functions tell how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a label that says what is being done; a new label starts anew."""

Item = TypeVar("Item")
# Of what is quick: so few items show nothing.
ITEMS_A_STEP = 500


def in_steps(items: Sequence[Item], label: str, progress: Progress) -> Iterator[Item]:
    """The items in turn; progress is told of every ITEMS_A_STEP that have been worked on."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % ITEMS_A_STEP == 0:
            progress(number, len(items), label)


def silent(done: int, total: int, label: str) -> None:
    """The progress that shows nothing."""
