"""Drafters as the command line writes them: NAME or NAME=WEIGHTS."""

from __future__ import annotations

from speclight.drafting.drafter_choices import (
    DRAFTERS,
    NO_DRAFTER,
    DrafterChoice,
    Eagle3,
    LayerSkip,
    Lookahead,
    Medusa,
    Model,
    NGram,
    Oracle,
    Plain,
    TwoStage,
)
from speclight.errors import InvalidInput

NEED_WEIGHTS = ("model", "medusa")
TAKE_WEIGHTS = ("model", "two_stage", "eagle3", "medusa")


def read_drafter(text: str, layers: int | None = None) -> DrafterChoice:
    """The drafter that NAME or NAME=WEIGHTS says.

    layers: of layer_skip, and of two_stage without weights. Raises InvalidInput for an unknown name, weights
    that are missing, and weights or layers that the drafter does not take.
    """
    name, weights = name_and_weights(text)
    return drafter_named(name, weights, layers)


def name_and_weights(text: str) -> tuple[str, str | None]:
    """What NAME or NAME=WEIGHTS says. Raises InvalidInput for others, or weights that it does not take."""
    name, equals, weights = text.partition("=")
    _check_name(name)
    if equals and not (weights and name in TAKE_WEIGHTS):
        raise InvalidInput(
            f"got the drafter {text!r}, expected NAME, or NAME=WEIGHTS for one that takes weights "
            f"({', '.join(TAKE_WEIGHTS)})"
        )
    return name, weights or None


def drafter_named(name: str, weights: str | None = None, layers: int | None = None) -> DrafterChoice:
    """The drafter of that name; arguments and errors as for `read_drafter`."""
    _check_name(name)
    if layers is not None and (name not in ("layer_skip", "two_stage") or weights is not None):
        what = name if weights is None else f"{name}={weights}"
        raise InvalidInput(f"drafter {what!r} has no use for layers, got {layers}; leave them out", "layers")
    match name, weights:
        case "layer_skip", None:
            return LayerSkip(layers)
        case "two_stage", None:
            return TwoStage(LayerSkip(layers))
        case "two_stage", str():
            return TwoStage(Model(weights))
        case "model", str():
            return Model(weights)
        case "medusa", str():
            return Medusa(weights)
        case "eagle3", _:
            return Eagle3(weights)
        case _ if name in NEED_WEIGHTS:
            raise InvalidInput(
                f"drafter {name!r} needs weights, got none; give {name}=FOLDER", argument="drafter"
            )
        case _, None:
            without = (Plain(), NGram(), Lookahead(), Oracle())
            return next(choice for choice in without if choice.name == name)
        case _:
            raise InvalidInput(f"drafter {name!r} takes no weights, got {weights!r}; leave them out")


def _check_name(name: str) -> None:
    if name not in (NO_DRAFTER, *DRAFTERS):
        raise InvalidInput(f"no drafter is called {name!r}; known: {', '.join([NO_DRAFTER, *DRAFTERS])}")
