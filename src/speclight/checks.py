"""Whether a value that was handed in has the type and the range it must have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import cast

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


def kind_of(given: object) -> str:
    """What a value is, for a message."""
    return f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"


def check_text(name: str, given: object) -> None:
    """Raise InvalidInput unless it is a text, and not an empty one."""
    if not isinstance(given, str):
        raise InvalidInput(f"{name} is {kind_of(given)}, expected a string; {_text_remedy(given)}")
    if not given:
        raise InvalidInput(
            f"{name} is empty, expected some text; continue a space if nothing is to stand there"
        )
    check_encodable(name, given)


def _text_remedy(given: object) -> str:
    if isinstance(given, bytes):
        return "decode it first, as in given.decode()"
    if not isinstance(given, Sequence):
        return "give a string"
    items = list(cast(Sequence[object], given))
    if items and all(isinstance(item, str) for item in items):
        return "use generate_batch for several prompts"
    if items and all(isinstance(item, dict) for item in items):
        return "use Conversation for messages, or write them in the chat template yourself and set raw=True"
    return "give text, not token ids"


def check_encodable(name: str, text: str) -> None:
    """Raise InvalidInput unless UTF-8 can encode the text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} holds {_unencodable(text[error.start])} at character {error.start}, which is no text; "
            "expected what UTF-8 can encode: write the whole character"
        ) from error


def _unencodable(character: str) -> str:
    # Python's own stand-ins for bytes of the command line that are no UTF-8.
    code = ord(character)
    return f"the byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "half a surrogate pair"
