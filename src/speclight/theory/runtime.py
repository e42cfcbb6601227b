"""From tokens per call to run time. delta = runtime/(N T) is the INVERSE of the speed-up.

N tokens, T seconds per target call of any size up to P, drafting free (Assumption 1 of arXiv 2512.11718v1).
An upper bound on tokens per call is a lower bound on delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from speclight.errors import InvalidInput
from speclight.theory.bound import Bound, check_node_budget


@dataclass(frozen=True, slots=True)
class RuntimeFloor:
    """A lower bound on delta and what it rests on. speed_up_ceiling = 1/delta."""

    delta: float
    assumptions: tuple[str, ...]
    source: str

    @property
    def speed_up_ceiling(self) -> float:
        """The largest speed-up over one token per call that the floor leaves open."""
        return 1.0 / self.delta


CONSTANT_CALL_TIME = "each target call takes the same time and drafting takes none"


def trivial_runtime_floor(node_budget: int) -> RuntimeFloor:
    """Delta >= 1/P: no call emits more tokens than it scores positions.

    Source: arXiv 2512.11718v1, Section 3. Raises InvalidInput if P < 1.
    """
    return RuntimeFloor(
        1.0 / check_node_budget(node_budget), (CONSTANT_CALL_TIME,), "arXiv 2512.11718v1, Section 3"
    )


def runtime_floor(tokens_per_call: Bound) -> RuntimeFloor:
    """Delta >= 1/E[X] from an upper bound on E[X].

    Source: arXiv 2512.11718v1, equation (1). Raises InvalidInput for anything but an upper bound: a lower
    or asymptotic value puts no floor under the run time.
    """
    if tokens_per_call.side != "upper":
        raise InvalidInput(
            f"a floor under the run time needs an upper bound on tokens per call, got "
            f"{tokens_per_call.name!r} with side {tokens_per_call.side!r}"
        )
    return RuntimeFloor(
        1.0 / tokens_per_call.value,
        (CONSTANT_CALL_TIME, *tokens_per_call.assumptions),
        f"arXiv 2512.11718v1, equation (1), with {tokens_per_call.source}",
    )


def expected_calls_floor(tokens: int, tokens_per_call: float) -> float:
    """Wald's inequality: E[calls] >= N/E[X], because the last call may overshoot N.

    tokens: N >= 1. tokens_per_call: E[X] >= 1, the calls i.i.d. (if they are not, the long-run mean over
    call starts, for N large). Source: arXiv 2512.11718v1, Section 3.2. Raises InvalidInput otherwise.
    """
    if tokens < 1 or not isfinite(tokens_per_call) or tokens_per_call < 1.0:
        raise InvalidInput(
            f"Wald's inequality needs at least one token and at least one token per call, got {tokens} and "
            f"{tokens_per_call}"
        )
    return tokens / tokens_per_call
