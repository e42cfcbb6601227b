"""What a bound on the tokens of one target call is, on what it rests, and how to choose among several.

Two counts are fixed once for the whole package. P, the node budget, is the number of positions scored in
one target call with the root (the last committed token) included. X is the number of tokens that call
emits: accepted drafts + 1, the target's own token. Every bound of this package is on E[X].
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from numbers import Real
from typing import Literal

from speclight.errors import InvalidInput

Side = Literal["upper", "lower", "asymptotic"]
Origin = Literal["as printed", "corrected", "ours"]

# mu2 = mu^2 holds exactly for uniform laws, so rounding in two float64 sums may break Jensen's
# inequality by a few units in the last place; anything past this relative gap is an input error.
MOMENT_RTOL = 1e-9


class Assumption(StrEnum):
    """What a bound takes for granted; the value is the sentence shown beside the number."""

    DETERMINISTIC_DRAFTING = (
        "deterministic drafting: a drafted token is accepted with the target's own probability of it"
    )
    IID_CONTEXTS = "i.i.d. contexts: not a bound for a real model"
    IID_PAIRS = "pairs (target law, drafter law) i.i.d. across nodes: not a bound for a real model"
    SUFFICIENT_TYPES = "the context types carry all that matters for the future: not a bound for a real model"
    SAME_START_LAW = "calls start where the measured starts lay; another start law has another limit"
    CHAINS = "drafts are chains, one node of each depth: no bound for trees"
    NON_ARITHMETIC = "the surprisals of the target lie on no grid of multiples of one number"
    INFINITE_TREE = "infinite token tree: no end of text"
    LARGE_BUDGET = "leading order as P grows: nothing is promised at a finite P"


# What a call decoded with a draft tree may grant, whatever the model; everything else is a model of it.
REAL_MODEL = frozenset({Assumption.DETERMINISTIC_DRAFTING, Assumption.SAME_START_LAW})
IID_MODEL = REAL_MODEL | {Assumption.IID_CONTEXTS}


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval. level: nominal coverage in (0, 1)."""

    lower: float
    upper: float
    level: float


@dataclass(frozen=True, slots=True)
class Bound:
    """One statement about E[X], the expected tokens per target call.

    name: the statement's name in this package. value: tokens per call. side: "upper" and "lower" hold at
    the P given, under the assumptions; "asymptotic" is a leading term and bounds nothing at a finite P.
    assumptions: sentences, normally members of Assumption. source: paper and number, or "ours".
    origin: whether the formula is the paper's, a corrected form of it, or not in the papers.
    validity: for which arguments the formula is used and what is returned outside them.
    standard_error, interval: sampling error of a value estimated from texts, clustered by prompt; None where
    there is none (a formula of given numbers) or it is not known.
    """

    name: str
    value: float
    side: Side
    assumptions: tuple[str, ...]
    source: str
    origin: Origin
    validity: str
    standard_error: float | None = None
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise InvalidInput(
                f"the bound {self.name!r} needs a finite number of tokens per call, got {self.value}"
            )


def best_upper(bounds: Iterable[Bound], granted: frozenset[Assumption]) -> Bound:
    """The smallest of the upper bounds whose assumptions are all granted; of equals, the first given.

    Raises InvalidInput if none of them is an upper bound under what is granted (the trivial bound, which
    assumes nothing, always is).
    """
    usable = [bound for bound in bounds if bound.side == "upper" and granted.issuperset(bound.assumptions)]
    if not usable:
        raise InvalidInput(
            "none of the bounds given is an upper bound under the assumptions granted; "
            "include the trivial bound, which assumes nothing"
        )
    return min(usable, key=lambda bound: bound.value)


def best_for_a_real_model(bounds: Iterable[Bound]) -> Bound:
    """The smallest upper bound that grants nothing about independence. Errors as in `best_upper`."""
    return best_upper(bounds, REAL_MODEL)


def best_if_contexts_were_iid(bounds: Iterable[Bound]) -> Bound:
    """The smallest upper bound for a target with i.i.d. contexts. Errors as in `best_upper`."""
    return best_upper(bounds, IID_MODEL)


def check_node_budget(node_budget: int) -> int:
    """P as a plain int. Raises InvalidInput if it is not an integer of at least 1."""
    try:
        budget = operator.index(node_budget)
    except TypeError as error:
        raise InvalidInput(
            f"the node budget must be an integer, got {node_budget!r}; give P, the positions scored "
            "in one target call, root included"
        ) from error
    if budget < 1:
        raise InvalidInput(f"the node budget must be at least 1 (the root itself), got {budget}")
    return budget


def check_count(count: int, name: str) -> int:
    """The count as a plain int. Raises InvalidInput unless it is an integer of at least 1."""
    try:
        number = operator.index(count)
    except TypeError as error:
        raise InvalidInput(f"{name} must be an integer of at least 1, got {count!r}") from error
    if number < 1:
        raise InvalidInput(f"{name} must be an integer of at least 1, got {number}")
    return number


def check_moments(mu: float, mu2: float) -> float:
    """mu2, raised to mu^2 where rounding alone put it below.

    mu: mean entropy, nats. mu2: mean of sum p (ln p)^2, nats^2. Raises InvalidInput unless both are
    finite, mu >= 0 and mu2 >= mu^2 (Jensen's inequality, which every pair of true moments obeys), and
    mu2 = 0 where mu = 0.
    """
    check_entropy(mu)
    if not _is_amount(mu2):
        raise InvalidInput(f"mu2 must be a finite number >= 0 (nats^2), got {mu2}")
    if mu == 0.0 and mu2 > 0.0:
        raise InvalidInput(
            f"mu = 0 means a deterministic target, whose mu2 is 0 as well, got mu2 = {mu2}; give both in nats"
        )
    if mu2 < mu * mu * (1.0 - MOMENT_RTOL):
        raise InvalidInput(
            f"mu2 must be at least mu^2 = {mu * mu:.6g} (Jensen's inequality), got {mu2:.6g} with "
            f"mu = {mu:.6g}; give the mean of sum p (ln p)^2 in nats^2, not a variance"
        )
    return max(mu2, mu * mu)


def _is_amount(value: object) -> bool:
    return isinstance(value, Real) and 0.0 <= float(value) < inf


def check_entropy(mu: float) -> float:
    """mu, unchanged. Raises InvalidInput unless it is a finite number >= 0."""
    if not _is_amount(mu):
        raise InvalidInput(f"mu, the mean entropy in nats per token, must be a finite number >= 0, got {mu}")
    return mu
