"""The list of a model's decoder layers, found by its length, and what leaves the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from speclight.errors import InvalidInput


def layer_stack(model: nn.Module, layers: int) -> nn.ModuleList:
    """The list of decoder layers. Raises InvalidInput for a model with no or several lists of this length."""
    stacks = [
        module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == layers
    ]
    if len(stacks) != 1:
        raise InvalidInput(
            f"got a model with {len(stacks)} lists of {layers} modules, expected exactly one, its layers; "
            "layer_skip cannot tell where to leave this architecture, nor a head where its last layer ends: "
            "choose another drafter"
        )
    return stacks[0]


@contextmanager
def last_layer_outputs(model: nn.Module, layers: int) -> Iterator[list[torch.Tensor]]:
    """What the last layer gives in the passes inside the block: the states that the final norm reads.

    Transformers' own `hidden_states` hold them after that norm only. Raises what `layer_stack` raises.
    """
    outputs: list[torch.Tensor] = []

    def record(module: nn.Module, arguments: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hook = layer_stack(model, layers)[-1].register_forward_hook(record)
    try:
        yield outputs
    finally:
        hook.remove()
