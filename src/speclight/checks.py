"""Whether a value that was handed in has the type and the range it must have."""

from __future__ import annotations

import math
from numbers import Integral, Real

from speclight.errors import InvalidInput


def whole_number(name: str, value: object, at_least: int = 1) -> int:
    """The value as an int: any whole number >= `at_least`, those of numpy included, but no bool.

    Raises InvalidInput for anything else, 8.0 included: a count that was computed may be off by a rounding.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        whole = isinstance(value, float) and value.is_integer()
        remedy = f"write {int(value)}" if whole and isinstance(value, float) else "give one"
        raise InvalidInput(
            f"{name} must be >= {at_least}, a whole number, got {value!r} ({type(value).__name__}); {remedy}",
            argument=name,
        )
    if value < at_least:
        raise InvalidInput(f"{name} must be >= {at_least}, got {value}; give a larger number", argument=name)
    return int(value)


def finite_number(name: str, value: object, expected: str, remedy: str) -> float:
    """The value as a float: any finite real number, those of numpy included, but no bool.

    expected: the range in words; the caller checks it. Raises InvalidInput for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InvalidInput(f"got {name} {value!r}, expected {expected}; {remedy}", argument=name)
    return float(value)


def check_whole_numbers(settings: object, *names: str, at_least: int = 1) -> None:
    """`whole_number` for attributes of a (frozen) settings object, which then hold plain ints."""
    for name in names:
        object.__setattr__(settings, name, whole_number(name, getattr(settings, name), at_least))
