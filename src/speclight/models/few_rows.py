"""Products of few rows with weight matrices, by MKL without its copy of the matrix.

MKL's product of some rows with a weight matrix, as `torch.nn.functional.linear` asks for it, first copies the
whole matrix into blocks, at every call of two rows or more: two rows cost twice as much as one. With the
operands exchanged, matrix times columns, it takes kernels that need no such copy. Sums are taken in another
order, so results differ from the usual ones in the last bits; nothing is stored twice, and the weights stay
the module's own parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from operator import is_not
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear, pad

# (rows [rows, in], weights [out, in] each) -> [rows, all outs] rows times the transposed weights, side by
# side, in any memory layout, of the rows' type whatever the weights' one
Products = Callable[[torch.Tensor, Sequence[torch.Tensor]], torch.Tensor]


class Matrices(tuple[torch.Tensor, ...]):
    """Weights that are multiplied with again and again. known: what products remember of them."""

    known: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Matrices:
        """Of the copies nothing is known: they are somewhere else."""
        return Matrices(copy.deepcopy(weight, memo) for weight in self)


# From about here on, copying the matrix costs less than the other kernels lose.
MOST_ROWS = 64
# Numbers of rows whose kernels are slower than those of a few rows more, which are zeros: one row takes 78 ms
# of products where two take 56, fifteen take 186 where sixteen take 102 (benchmarks/bench_few_rows.py).
FILLED_UP = {1: 2, 3: 4, 7: 8} | dict.fromkeys(range(9, 16), 16) | dict.fromkeys(range(25, 32), 32)


def exchanged_products(rows: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """See Products. rows: contiguous, else the exchange gains nothing."""
    count = rows.shape[0]
    weights = [weight.to(rows.dtype) for weight in weights]
    if not 0 < count <= MOST_ROWS:
        return _joined([linear(rows, weight) for weight in weights], 1)
    filled = FILLED_UP.get(count, count)
    if filled > count:
        rows = pad(rows, (0, 0, 0, filled - count))
    columns = rows.t()
    return _joined([torch.mm(weight, columns) for weight in weights], 0).t()[:count]


def _joined(parts: list[torch.Tensor], dim: int) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


class FewRowsLinear(nn.Linear):
    """A linear layer that computes by products for few rows; see `use_products`."""

    products: Products
    _matrices: Matrices = Matrices()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The layer's output, [..., out], for inputs [..., in]."""
        rows = input.reshape(-1, input.shape[-1])
        output = self.products(rows.contiguous(), self.matrices_with(())).contiguous()
        output = output.view(*input.shape[:-1], -1)
        return output if self.bias is None else output.add_(self.bias)

    def matrices_with(self, others: Sequence[FewRowsLinear]) -> Matrices:
        """The weights of this layer and of others that read the same input; kept while they are these."""
        weights = (self.weight, *(layer.weight for layer in others))
        if len(weights) != len(self._matrices) or any(map(is_not, weights, self._matrices)):
            self._matrices = Matrices(weights)
        return self._matrices


def products_of_one_input(input: torch.Tensor, *layers: nn.Module) -> tuple[torch.Tensor, ...]:
    """Each linear layer's output, [..., out], for one input [..., in]; those for few rows in one go."""
    rows = input.reshape(-1, input.shape[-1])
    few = [layer for layer in layers if isinstance(layer, FewRowsLinear)]
    if len(few) < len(layers):
        return tuple(layer(input) for layer in layers)
    joined = few[0].products(rows.contiguous(), few[0].matrices_with(few[1:]))
    parts = joined.split([layer.out_features for layer in few], dim=1)
    return tuple(
        (part if layer.bias is None else part + layer.bias).reshape(*input.shape[:-1], -1)
        for layer, part in zip(few, parts, strict=True)
    )


def use_products(module: nn.Module, products: Products) -> None:
    """Let a module's plain linear layers compute by these products; their parameters stay as they are.

    Layers whose weights accelerate streams in keep the hook that does so: it calls what it found as forward
    when it was hung in, which is exchanged with the class.
    """
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = FewRowsLinear
            assert isinstance(layer, FewRowsLinear)
            layer.products = products
            if "_old_forward" in vars(layer):
                layer._old_forward = MethodType(FewRowsLinear.forward, layer)  # pyright: ignore


def halve_weights(module: nn.Module) -> None:
    """Keep in bfloat16, for `compiled_products`, every matrix of few-row layers that it holds exactly.

    So it is with checkpoints written in bfloat16: products are the same, and half as much is read for them.
    For models that read few rows nearly always: a product of many makes the float32 ones again.
    """
    for layer in module.modules():
        if isinstance(layer, FewRowsLinear):
            half = layer.weight.to(torch.bfloat16)
            if torch.equal(half.to(layer.weight.dtype), layer.weight):
                layer.weight = nn.Parameter(half, requires_grad=False)
