"""The drafters by name."""

from __future__ import annotations

from collections.abc import Callable

from speclight.drafting.ngram import NgramDrafter
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.protocol import Drafter
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM

DRAFTERS: dict[str, Callable[[CausalLM], Drafter]] = {
    "none": lambda target: NoDrafter(),
    "ngram": lambda target: NgramDrafter(never_drafted=target.end_of_text),
}


def drafter_named(name: str, target: CausalLM) -> Drafter:
    """A fresh drafter of that name for this target. Raises InvalidInput listing the known ones."""
    if name not in DRAFTERS:
        raise InvalidInput(f"no drafter is called {name!r}; known: {', '.join(DRAFTERS)}")
    return DRAFTERS[name](target)
