"""speclight: the yardstick of speculative decoding."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors, which do not run __getattr__
    from speclight.errors import SpeclightError as SpeclightError
    from speclight.theory.bounds import Bound as Bound
    from speclight.theory.moment_bounds import bounds as bounds
    from speclight.trees.draft_tree import DraftTree as DraftTree

__version__ = "0.1.0"

# Public name -> module that defines it, imported at first use: torch alone takes seconds.
_PUBLIC = {
    "Bound": "speclight.theory.bounds",
    "DraftTree": "speclight.trees.draft_tree",
    "SpeclightError": "speclight.errors",
    "bounds": "speclight.theory.moment_bounds",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'speclight' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value  # later look-ups do not come here again
    return value


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
