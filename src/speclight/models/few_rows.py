"""Linear layers for passes over few tokens: the weight matrix is read once, where it lies.

MKL's product of some rows with a weight matrix, as `torch.nn.functional.linear` asks for it, first copies the
whole matrix into blocks, at every call of two rows or more: two rows cost twice as much as one. With the
operands exchanged, matrix times columns, it takes kernels that need no such copy. Sums are taken in another
order, so results differ from the usual ones in the last bits; nothing is stored twice, and the weights stay
the module's own parameters.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear

# From about here on, copying the matrix costs less than the other kernels lose.
MOST_ROWS = 64


def product(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[rows, out] = rows times the transposed weight, in any memory layout.

    rows: [rows, in], contiguous (else the exchange gains nothing). weight: [out, in].
    """
    if 1 < rows.shape[0] <= MOST_ROWS:
        return torch.mm(weight, rows.t()).t()
    return linear(rows, weight)


class FewRowsLinear(nn.Linear):
    """A linear layer that computes by `product`; see `use_few_rows`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The layer's output, [..., out], for inputs [..., in]."""
        rows = input.reshape(-1, input.shape[-1])
        if not 1 < rows.shape[0] <= MOST_ROWS:
            return linear(input, self.weight, self.bias)
        output = product(rows, self.weight).contiguous().view(*input.shape[:-1], -1)
        return output if self.bias is None else output.add_(self.bias)


def use_few_rows(module: nn.Module) -> None:
    """Let a module's plain linear layers compute by `product`; their parameters stay as they are."""
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = FewRowsLinear
