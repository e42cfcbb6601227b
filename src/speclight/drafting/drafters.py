"""The drafters by name."""

from __future__ import annotations

from collections.abc import Callable

from speclight.drafting.ngram import NgramLaw
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.protocol import Drafter, LawSource
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.trees.best_first import BestFirstGrowth


def best_first_drafter(source: LawSource, target: CausalLM) -> Drafter:
    """The tree of Lemma 1 under the source's law; end-of-text tokens are never drafted."""
    return TreeDrafter(source, lambda root, budget, noise: BestFirstGrowth(root, budget, target.end_of_text))


DRAFTERS: dict[str, Callable[[CausalLM], Drafter]] = {
    "none": lambda target: NoDrafter(),
    "ngram": lambda target: best_first_drafter(NgramLaw(), target),
}


def drafter_named(name: str, target: CausalLM) -> Drafter:
    """A fresh drafter of that name for this target. Raises InvalidInput listing the known ones."""
    if name not in DRAFTERS:
        raise InvalidInput(f"no drafter is called {name!r}; known: {', '.join(DRAFTERS)}")
    return DRAFTERS[name](target)
