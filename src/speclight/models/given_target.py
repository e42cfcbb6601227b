"""What is given as a target: a loaded model, or else an error that says how to make one."""

from __future__ import annotations

from pathlib import Path

from speclight.checks import kind_of
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM


def check_target(target: object) -> None:
    """Raise InvalidInput unless it is a model as `speclight.load` and `speclight.wrap` make them."""
    if isinstance(target, CausalLM):
        return
    if isinstance(target, str | Path):
        raise InvalidInput(
            f"got {str(target)!r} as target, expected a loaded model; write speclight.load({str(target)!r})"
        )
    raise InvalidInput(
        f"got {kind_of(target)} as target, expected a model from speclight.load or speclight.wrap; a model "
        "of Transformers becomes one by speclight.wrap(model, tokenizer)"
    )
