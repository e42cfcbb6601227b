"""How long-running functions tell how far they are."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a label that says what is being done; a new label starts anew."""


def silent(done: int, total: int, label: str) -> None:
    """The progress that shows nothing."""
