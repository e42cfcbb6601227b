"""The arithmetic of Medusa heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import linear, silu

from speclight.arrays import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlock:
    """x + SiLU(W x + b). weight: [hidden, hidden]; bias: [hidden] or None."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        """State and result: [..., hidden]."""
        return state + silu(linear(state, self.weight, self.bias))


@dataclass(frozen=True, slots=True, eq=False)
class MedusaHead:
    """Residual blocks and an output matrix, [draft vocabulary, hidden]."""

    blocks: tuple[ResidualBlock, ...]
    output: torch.Tensor

    def logits(self, state: torch.Tensor) -> torch.Tensor:
        """[..., draft vocabulary] from the target's last states, [..., hidden]."""
        for block in self.blocks:
            state = block(state)
        return linear(state, self.output)


@dataclass(frozen=True, slots=True, eq=False)
class MedusaHeads:
    """Heads in order: the first guesses the token after the one the target's own output decides on.

    state_layer: number of the state that the target's output matrix reads, see ForwardPass. target_ids:
    [draft vocabulary] the target's token of each output row.
    """

    dialect: str
    heads: tuple[MedusaHead, ...]
    state_layer: int
    target_ids: IntArray
