"""What a number of a page means, and the command that makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """A quantity and its meaning.

    about: the name by which numbers lead here, lower case. command: empty if none makes it.
    """

    about: str
    term: str
    meaning: str
    command: str = ""
