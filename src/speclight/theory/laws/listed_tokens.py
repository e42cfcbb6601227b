"""Some tokens of each context along a text with their probabilities, as an engine's likeliest tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class ListedTokens:
    """Tokens known in each context, whatever chose them; end of text left out.

    Unlike `LikelyTokens` they need not be all that are likely. surprisals: [tokens listed] of all contexts,
    one behind the other, nats. kept: [contexts] how many belong to each.

    Raises InvalidInput if the arrays contradict each other. They are copied and made read-only.
    """

    surprisals: FloatArray
    kept: IntArray

    def __post_init__(self) -> None:
        for name, dtype in (("surprisals", np.float64), ("kept", np.int64)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if (self.kept < 0).any() or int(self.kept.sum()) != len(self.surprisals):
            raise InvalidInput(
                f"the contexts list {int(self.kept.sum())} tokens, got surprisals of {len(self.surprisals)}"
            )
        if not ((self.surprisals >= 0.0) & np.isfinite(self.surprisals)).all():
            raise InvalidInput("listed surprisals must be finite nats >= 0; leave impossible tokens out")

    def __len__(self) -> int:
        return len(self.kept)
