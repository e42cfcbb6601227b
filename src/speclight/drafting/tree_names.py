"""Draft trees as the command line writes them: NAME or NAME=NUMBERS."""

from __future__ import annotations

from speclight.drafting.tree_choices import (
    Batch,
    BestFirst,
    Chain,
    Eagle2,
    Lists,
    RankTree,
    ShapedKind,
    Static,
    Threshold,
    TreeChoice,
    default_tree,
)
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind
from speclight.trees.limited_growth import GrowthLimits

# Trees of listed nodes and by confidence take more than numbers, and are given in Python.
SPELLINGS = (
    "best_first, eagle2, eagle2=DEPTH,CHILDREN,PER_LEVEL, threshold=PROBABILITY, chain, batch, "
    "static=RATE,RATE,..., rank=RATE,RATE,... and lists=NOISE_SETS"
)


def read_tree(text: str | None, kind: DraftKind) -> TreeChoice:
    """The tree that NAME or NAME=NUMBERS says, with candidates of that kind; the kind's default if None.

    Raises InvalidInput for what SPELLINGS does not list, and for a tree that holds no candidates of the kind.
    """
    if text is None:
        return default_tree(kind)
    tree = _read(text, "deterministic" if kind == "gls" else kind)
    if tree.kind != kind:
        raise InvalidInput(
            f"got the tree {text!r} for candidates of kind {kind}, expected a fixed shape (chain, batch, "
            "static or rank), and lists for gls alone: which samples are kept must not depend on their values"
        )
    return tree


def _read(text: str, kind: ShapedKind) -> TreeChoice:
    name, equals, values = text.partition("=")
    try:
        numbers = tuple(float(value) for value in values.split(",")) if equals else ()
    except ValueError:
        numbers, name = (), text
    match name, numbers:
        case "best_first", ():
            return BestFirst()
        case "eagle2", ():
            return Eagle2()
        case "eagle2", (depth, children, per_level) if all(number.is_integer() for number in numbers):
            return Eagle2(GrowthLimits(int(depth), int(children), int(per_level)))
        case "threshold", (least_probability,):
            return Threshold(least_probability)
        case "chain", ():
            return Chain(kind=kind)
        case "batch", ():
            return Batch(kind=kind)
        case "static", (_, *_):
            return Static(numbers, kind=kind)
        case "rank", (_, *_):
            return RankTree(numbers, kind=kind)
        case "lists", (noise_sets,) if noise_sets.is_integer():
            return Lists(int(noise_sets))
        case _:
            raise InvalidInput(f"no draft tree is called {text!r}; known: {SPELLINGS}")
