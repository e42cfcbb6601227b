"""What a reader may ask of recorded calls: another node budget, machine or drafter, and what follows.

Plain data that a page can carry, and the arithmetic that it repeats in the reader's browser. Every step is a
ratio of means over calls, so that they multiply to the predicted speed exactly (docs/theory/waterfall.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.advice.waterfall import FactorName
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate


@dataclass(frozen=True, slots=True)
class DraftedCalls:
    """A mean call of one configuration at one node budget P.

    tokens: emitted per call. best_tree: tokens per call of the target's own best trees of P nodes at the same
    starts. likeliest: of the drafter's P likeliest nodes there. Either is None where it was not recorded, and
    what it loses counts to the step behind. sizes, shares: nodes scored, root included, and in what share of
    the calls. draft_seconds: of a call's drafting; None where nobody timed it. loop_seconds: around a call,
    verifying and committing.
    """

    node_budget: int
    tokens: Estimate
    best_tree: float | None
    likeliest: float | None
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    draft_seconds: float | None
    loop_seconds: float


@dataclass(frozen=True, slots=True)
class Drafted:
    """One way of drafting at every node budget recorded, rising. start_law: where its calls start."""

    drafter: str
    growth: str
    rule: str
    start_law: str
    calls: tuple[DraftedCalls, ...]

    def at(self, node_budget: int) -> DraftedCalls:
        """The calls at that node budget. Raises InvalidInput for one that was not recorded."""
        for calls in self.calls:
            if calls.node_budget == node_budget:
                return calls
        known = ", ".join(str(calls.node_budget) for calls in self.calls)
        raise InvalidInput(
            f"got node budget {node_budget} for {self.drafter}, {self.growth}, expected one of {known}, "
            "those recorded",
            argument="node_budget",
        )


@dataclass(frozen=True, slots=True)
class Load:
    """Texts at one temperature, and what was drafted along them.

    name: of the family, or of several together. prompts: behind the numbers. node_budgets: [budgets] rising,
    those of all that was drafted among them. limit: [budgets] tokens per call that no decode with
    deterministic drafts exceeds, wherever its calls start; limit_upper: [budgets] its upper 95% confidence
    limit, NaN for a single prompt.
    """

    name: str
    temperature: float
    prompts: int
    node_budgets: tuple[int, ...]
    limit: tuple[float, ...]
    limit_upper: tuple[float, ...]
    drafted: tuple[Drafted, ...]


@dataclass(frozen=True, slots=True)
class CallTimePreset:
    """T(k) of a machine, measured or supposed. seconds: [nodes] of a target call with 1, 2, ... nodes."""

    name: str
    label: str
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What can be chosen, the first of each being shown first.

    plain_loop_seconds: around a call of plain decoding.
    """

    loads: tuple[Load, ...]
    call_times: tuple[CallTimePreset, ...]
    plain_loop_seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step from the limit down to the prediction. factor: of the first, tokens per call.

    tokens_per_second: what is left behind it.
    """

    name: FactorName
    factor: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from a choice.

    limit_tokens: per call, at this P. limit_tokens_per_second: of that at this P's call time, drafting free.
    tokens, tokens_per_second: of the drafter; its interval is from prompts alone, call times counting as
    known. steps: in order; their factors multiply to tokens_per_second over plain_tokens_per_second.
    """

    limit_tokens: float
    limit_tokens_per_second: float
    plain_tokens_per_second: float
    tokens: Estimate
    tokens_per_second: Estimate
    steps: tuple[Step, ...]

    @property
    def speed_up(self) -> float:
        """Over plain decoding."""
        return self.tokens_per_second.value / self.plain_tokens_per_second


def outcome(
    load: Load,
    drafted: Drafted,
    node_budget: int,
    seconds: Sequence[float],
    plain_loop_seconds: float = 0.0,
    drafting_scale: float = 1.0,
) -> Outcome:
    """What one way of drafting gives at one P. seconds: [nodes] of a target call with 1, 2, ... nodes.

    drafting_scale: times the drafting's seconds as timed; drafting that nobody timed counts as nothing.
    Raises InvalidInput for a node budget not recorded.
    """
    calls = drafted.at(node_budget)
    limit = load.limit[load.node_budgets.index(node_budget)]
    target = sum(share * seconds[size - 1] for size, share in zip(calls.sizes, calls.shares, strict=True))
    drafting = drafting_scale * (calls.draft_seconds or 0.0)
    whole, plain = target + drafting + calls.loop_seconds, seconds[0] + plain_loop_seconds
    tokens = calls.tokens
    best_tree = limit if calls.best_tree is None else calls.best_tree
    likeliest = best_tree if calls.likeliest is None else calls.likeliest
    factors: list[tuple[FactorName, float]] = [
        ("decode_bound", limit),
        ("call_starts", best_tree / limit),
        ("knowledge", likeliest / best_tree),
        ("shape", tokens.value / likeliest),
        ("call_time", seconds[0] / target),
        ("drafting", target / (target + drafting)),
        ("loop", (target + drafting) / whole * plain / seconds[0]),
    ]
    steps: list[Step] = []
    left = 1.0 / plain
    for name, factor in factors:
        left *= factor
        steps.append(Step(name, factor, left))
    return Outcome(
        limit,
        limit / (seconds[node_budget - 1] + plain_loop_seconds),
        1.0 / plain,
        tokens,
        _over(tokens, whole),
        tuple(steps),
    )


def fastest_budget(
    load: Load,
    drafted: Drafted,
    seconds: Sequence[float],
    plain_loop_seconds: float = 0.0,
    drafting_scale: float = 1.0,
) -> int:
    """The recorded P at which this way of drafting is fastest, the smallest of equals."""

    def speed(budget: int) -> float:
        found = outcome(load, drafted, budget, seconds, plain_loop_seconds, drafting_scale)
        return found.tokens_per_second.value

    return max((calls.node_budget for calls in drafted.calls), key=speed)


def _over(tokens: Estimate, seconds: float) -> Estimate:
    def each(value: float | None) -> float | None:
        return None if value is None else value / seconds

    return Estimate(
        tokens.value / seconds,
        each(tokens.standard_error),
        each(tokens.low),
        each(tokens.high),
        tokens.clusters,
    )
