"""Linear layers for passes over few tokens: the weight matrix is read once, where it lies.

MKL's product of some rows with a weight matrix, as `torch.nn.functional.linear` asks for it, first copies the
whole matrix into blocks, at every call of two rows or more: two rows cost twice as much as one. With the
operands exchanged, matrix times columns, it takes kernels that need no such copy. Sums are taken in another
order, so results differ from the usual ones in the last bits; nothing is stored twice, and the weights stay
the module's own parameters.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import nn
from torch.nn.functional import linear, pad

# From about here on, copying the matrix costs less than the other kernels lose.
MOST_ROWS = 64
# Numbers of rows whose kernels are slower than those of a few rows more, which are zeros: one row takes 78 ms
# of products where two take 56, fifteen take 186 where sixteen take 102 (benchmarks/bench_few_rows.py).
FILLED_UP = {1: 2, 3: 4, 7: 8} | dict.fromkeys(range(9, 16), 16) | dict.fromkeys(range(25, 32), 32)


def product(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[rows, out] = rows times the transposed weight, in any memory layout.

    rows: [rows, in], contiguous (else the exchange gains nothing). weight: [out, in].
    """
    count = rows.shape[0]
    if not 0 < count <= MOST_ROWS:
        return linear(rows, weight)
    filled = FILLED_UP.get(count, count)
    if filled > count:
        rows = pad(rows, (0, 0, 0, filled - count))
    return torch.mm(weight, rows.t()).t()[:count]


class FewRowsLinear(nn.Linear):
    """A linear layer that computes by `product`; see `use_few_rows`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The layer's output, [..., out], for inputs [..., in]."""
        rows = input.reshape(-1, input.shape[-1])
        if not 0 < rows.shape[0] <= MOST_ROWS:
            return linear(input, self.weight, self.bias)
        output = product(rows, self.weight).contiguous().view(*input.shape[:-1], -1)
        return output if self.bias is None else output.add_(self.bias)


def use_few_rows(module: nn.Module) -> None:
    """Let a module's plain linear layers compute by `product`; their parameters stay as they are.

    Layers whose weights accelerate streams in keep the hook that does so: it calls what it found as forward
    when it was hung in, which is exchanged with the class.
    """
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = FewRowsLinear
            if "_old_forward" in vars(layer):
                layer._old_forward = MethodType(FewRowsLinear.forward, layer)  # pyright: ignore
