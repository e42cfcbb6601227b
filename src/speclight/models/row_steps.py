"""What a decoder layer does to rows between its attention and its activation, in steps.

A step is a norm, products with matrices, and what is added to them. Steps in a chain, each reading what the
one before gave, may be computed in one go: one by one, small ones take longer to start than to compute.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn.functional import rms_norm

from speclight.models.few_rows import Matrices, Products


class RowNorm:
    """Weight and epsilon of a norm by the root mean square."""

    def __init__(self, norm: Any) -> None:
        self.weight: torch.Tensor = norm.weight
        self.epsilon: float = norm.variance_epsilon

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """[rows, hidden], each normed."""
        return rms_norm(rows, self.weight.shape, self.weight, self.epsilon)


class RowStep:
    """The outputs of linear layers that read the same rows, side by side; `norm`: of the rows before."""

    def __init__(self, *layers: nn.Linear, norm: RowNorm | None = None) -> None:
        self.norm, self.weights = norm, Matrices(layer.weight for layer in layers)
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self.bias = torch.cat([bias.detach() for bias in biases]) if biases else None


class RowChain(tuple[RowStep, ...]):
    """Steps each of which reads the output of the one before. known: what is remembered of them."""

    known: Any = None

    @cached_property
    def tensors(self) -> list[torch.Tensor]:
        """All that the steps are made of."""
        found = [(*step.weights, step.norm and step.norm.weight, step.bias) for step in self]
        return [tensor for of_step in found for tensor in of_step if tensor is not None]

    def __deepcopy__(self, memo: dict[int, Any]) -> RowChain:
        """Of the copy nothing is known: it is somewhere else."""
        return RowChain(copy.deepcopy(step, memo) for step in self)


# (chain, rows [rows, in], added [rows, out] or None) -> the output [rows, out] of each step, in any memory
# layout; the first's has `added` added to it
RowSteps = Callable[[RowChain, torch.Tensor, torch.Tensor | None], list[torch.Tensor]]


def steps_one_by_one(products: Products) -> RowSteps:
    """Steps as they are written, by these products."""

    def run(chain: RowChain, rows: torch.Tensor, added: torch.Tensor | None) -> list[torch.Tensor]:
        outputs = []
        for step in chain:
            read = rows if step.norm is None else step.norm(rows)
            rows = products(read.contiguous(), step.weights)
            for more in (step.bias, added):
                rows = rows if more is None else rows + more
            added = None
            outputs.append(rows)
        return outputs

    return run
