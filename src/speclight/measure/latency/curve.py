"""T(nodes, context): how long one call of a target takes, by the size of its tree and of its context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.ergodic.least_cost import SizeCosts

QUARTILES = (0.25, 0.75)
# A call is as good as free of its further nodes while it takes at most this share more than one of the root.
FLAT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Fall:
    """Two neighbouring sizes of which the larger is faster, beyond the middle halves of both."""

    context_tokens: int
    smaller: int
    larger: int


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class CallTimeCurve:
    """Seconds of a target call as measured: medians, and the quartiles around them. Nothing is smoothed.

    nodes: [sizes] of the tree, root included, increasing, >= 1. context_tokens: [contexts] committed tokens
    before the call, increasing, >= 0. medians, low, high: [contexts, sizes] seconds, > 0. batch_size: texts
    in the call, each with a tree of `nodes`. Raises InvalidInput if any of this does not hold.

    In between, seconds are on straight lines: over nodes between two sizes measured, over tokens between two
    contexts measured. Outside the contexts measured they are those of the nearest; other sizes are refused.
    """

    nodes: IntArray
    context_tokens: IntArray
    medians: FloatArray
    low: FloatArray
    high: FloatArray
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name in ("nodes", "context_tokens"):
            self._freeze(name, np.array(getattr(self, name), dtype=np.int64))
        for name in ("medians", "low", "high"):
            self._freeze(name, np.array(getattr(self, name), dtype=np.float64))
        _check_increasing("sizes of trees", self.nodes, 1)
        _check_increasing("lengths of contexts", self.context_tokens, 0)
        shape = (len(self.context_tokens), len(self.nodes))
        for seconds in (self.medians, self.low, self.high):
            if seconds.shape != shape or not (np.isfinite(seconds) & (seconds > 0.0)).all():
                raise InvalidInput(
                    f"call times need finite seconds > 0 for {shape[0]} contexts and {shape[1]} sizes, got "
                    f"{seconds.shape[0] if seconds.ndim else 0} rows of {seconds.tolist()}"
                )

    @classmethod
    def of_rounds(
        cls, nodes: Sequence[int], context_tokens: Sequence[int], taken: FloatArray, batch_size: int = 1
    ) -> CallTimeCurve:
        """The curve of repeated timings, [rounds, contexts, sizes] seconds."""
        low, high = np.quantile(taken, QUARTILES, axis=0)
        return cls(np.array(nodes), np.array(context_tokens), np.median(taken, axis=0), low, high, batch_size)

    def seconds(self, nodes: float, context_tokens: float = 0.0) -> float:
        """T at any size from the smallest to the largest measured; see the class for what lies in between.

        Raises InvalidInput for a size outside those.
        """
        first, last = int(self.nodes[0]), int(self.nodes[-1])
        if not first <= nodes <= last:
            raise InvalidInput(
                f"got a call of {nodes:g} nodes, expected {first} to {last}, the sizes that were timed; "
                "measure call times with that node budget among them",
                argument="node_budgets",
            )
        return float(np.interp(nodes, self.nodes, self.at(context_tokens)))

    def at(self, context_tokens: float) -> FloatArray:
        """[sizes] seconds at a context of this many tokens."""
        columns = self.medians.T
        return np.array([np.interp(context_tokens, self.context_tokens, column) for column in columns])

    def by_size(self, context_tokens: float = 0.0) -> SizeCosts:
        """The times as costs of a call, by tree size, for limits in seconds."""
        return SizeCosts(self.nodes, self.at(context_tokens))

    @property
    def least_seconds_per_context_token(self) -> float:
        """What each further token of context adds at the least, whatever the size; 0 for one context."""
        if len(self.context_tokens) == 1:
            return 0.0
        growth = (self.medians[-1] - self.medians[0]).min()
        return max(float(growth) / int(self.context_tokens[-1] - self.context_tokens[0]), 0.0)

    def flat_to(self, context_tokens: float = 0.0, share: float = FLAT_SHARE) -> int:
        """The knee: the largest size up to which no size measured takes over 1 + share times the smallest."""
        seconds = self.at(context_tokens)
        over = np.flatnonzero(seconds > (1.0 + share) * seconds[0])
        return int(self.nodes[over[0] - 1] if len(over) else self.nodes[-1])

    @property
    def falls(self) -> tuple[Fall, ...]:
        """Where a larger tree was faster than the next smaller one, beyond the spread of both."""
        found = np.argwhere(self.high[:, 1:] < self.low[:, :-1])
        return tuple(
            Fall(int(self.context_tokens[context]), int(self.nodes[place]), int(self.nodes[place + 1]))
            for context, place in found
        )

    def _freeze(self, name: str, array: IntArray | FloatArray) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)


def _check_increasing(what: str, values: IntArray, least: int) -> None:
    if values.ndim != 1 or not len(values) or values[0] < least or (np.diff(values) <= 0).any():
        raise InvalidInput(f"call times need increasing {what} >= {least}, got {values.tolist()}")
