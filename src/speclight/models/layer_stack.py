"""The list of a model's decoder layers, found by its length, and what leaves the last of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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


class EnteringStates:
    """What enters layers of a stack, numbered from 0, in the passes that ask for it.

    Transformers' own `hidden_states` would collect those of all layers. A layer that was asked for once keeps
    its hook: to hang three of them in and take them out takes as long as a hundredth of a call of one token.
    """

    def __init__(self, stack: nn.ModuleList) -> None:
        self._stack = stack
        self._hung: set[int] = set()
        self._states: dict[int, torch.Tensor] | None = None

    @contextmanager
    def of(self, wanted: Collection[int]) -> Iterator[dict[int, torch.Tensor]]:
        """The states that enter the wanted layers in the pass inside the block, by layer."""
        for number in wanted:
            if number not in self._hung:
                self._hung.add(number)
                self._stack[number].register_forward_pre_hook(self._recorder(number), with_kwargs=True)
        states: dict[int, torch.Tensor] = {}
        self._states = states
        try:
            yield states
        finally:
            self._states = None

    def _recorder(self, number: int) -> Any:
        def record(module: nn.Module, arguments: Any, named: Any) -> None:
            if self._states is not None:
                self._states[number] = arguments[0] if arguments else named["hidden_states"]

        return record


@contextmanager
def last_layer_outputs(stack: nn.ModuleList) -> Iterator[list[torch.Tensor]]:
    """What the last layer gives in the passes inside the block: the states that the final norm reads.

    Transformers' own `hidden_states` hold them after that norm only.
    """
    outputs: list[torch.Tensor] = []

    def record(module: nn.Module, arguments: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hook = stack[-1].register_forward_hook(record)
    try:
        yield outputs
    finally:
        hook.remove()
