"""The head that comes with this package, for the default target."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from speclight.drafting.eagle3.loading import Eagle3Head, load_head
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import DEFAULT_NAME

FOLDER = "smollm2-135m-instruct"


def shipped_head_folder() -> Path:
    """Where the shipped head is installed."""
    return Path(str(resources.files("speclight.drafting.eagle3") / "data" / FOLDER))


def head_for(target: CausalLM, folder: str | Path | None) -> Eagle3Head:
    """The head of a folder, or without one the shipped head.

    Raises InvalidInput where no folder is given for another target than the default one, and what `load_head`
    raises.
    """
    if folder is None:
        if target.name != DEFAULT_NAME:
            raise InvalidInput(
                f"the shipped head is for {DEFAULT_NAME}, the target is {target.name}; give the folder of a "
                "head for it, or make one with `speclight train-head`"
            )
        folder = shipped_head_folder()
    return load_head(folder, target)
