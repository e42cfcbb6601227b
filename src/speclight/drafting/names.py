"""The drafters by name, and what each takes: known without loading anything."""

from __future__ import annotations

from speclight.errors import InvalidInput

NO_DRAFTER = "none"
# Options that a drafter has a use for, besides those of its tree.
OPTIONS: dict[str, frozenset[str]] = {
    "model": frozenset({"weights", "vocabulary"}),
    "ngram": frozenset(),
    "layer_skip": frozenset({"layers"}),
    "lookahead": frozenset(),
    "two_stage": frozenset({"weights", "vocabulary", "layers"}),
    "eagle3": frozenset({"weights"}),
    "medusa": frozenset({"weights"}),
    "oracle": frozenset(),
}
NEEDS_WEIGHTS = ("model", "medusa")


def name_and_weights(text: str) -> tuple[str, str | None]:
    """What `NAME` or `NAME=WEIGHTS` says. Raises InvalidInput for others, or weights it does not take."""
    name, equals, weights = text.partition("=")
    if name not in OPTIONS and name != NO_DRAFTER:
        raise InvalidInput(f"no drafter is called {name!r}; known: {', '.join([NO_DRAFTER, *OPTIONS])}")
    takes = "weights" in OPTIONS.get(name, ())
    if equals and not (takes and weights):
        raise InvalidInput(
            f"got the drafter {text!r}, expected NAME, or NAME=WEIGHTS for one that takes weights "
            f"({', '.join(one for one, options in OPTIONS.items() if 'weights' in options)})"
        )
    return name, weights or None
