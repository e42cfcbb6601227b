"""Plans of a trace on a timed machine: for a mix of families, or for each family by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from speclight.advice.configuration import deterministic_rule
from speclight.advice.machine import mean_context_tokens, prices_of
from speclight.advice.plan import Plan, Wanted, plans
from speclight.advice.prices import CallPrices
from speclight.advice.speed_limit import limit_of_mix
from speclight.advice.traced_calls import Choice
from speclight.errors import InvalidInput
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.trace.record import Trace

WHOLE_MIX = "mix"


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan for; see the options of `speclight plan`.

    batch_sizes: empty for all that were timed. mix: shares by family; None for equal ones. by_family: a plan
    for each family of the mix instead of one for all. context_tokens, loop_seconds: see `prices_of`.
    """

    choice: Choice
    batch_sizes: tuple[int, ...] = ()
    mix: Mapping[str, float] | None = None
    by_family: bool = False
    context_tokens: float | None = None
    loop_seconds: float | None = None
    with_auto: bool = True


@dataclass(frozen=True, slots=True)
class NamedPlan:
    """A plan and what it is for: the name of a family, or WHOLE_MIX."""

    name: str
    plan: Plan


def plans_of_trace(trace: Trace, times: LatencyRecord, request: PlanRequest) -> tuple[NamedPlan, ...]:
    """By family, and within it by batch size, the smallest first.

    Raises what `plans` and `prices_of` raise.
    """
    sizes = request.batch_sizes or tuple(curve.batch_size for curve in times.curves)
    wanted = [
        (name, Wanted(_prices(trace, times, size, mix, request), mix))
        for name, mix in _mixes(trace, request).items()
        for size in sizes
    ]
    rule = deterministic_rule(trace.sampling.temperature)
    machines = [each for _, each in wanted]
    found = plans(trace.starts, rule, machines, request.choice, with_auto=request.with_auto)
    return tuple(
        NamedPlan(name, replace(own, limit=limit_of_mix(trace.profile, own.mix, machine.prices.target)))
        for (name, machine), own in zip(wanted, found, strict=True)
    )


def _mixes(trace: Trace, request: PlanRequest) -> Mapping[str, Mapping[str, float] | None]:
    if not request.by_family:
        return {WHOLE_MIX: request.mix}
    families: Sequence[str] = trace.families if request.mix is None else tuple(request.mix)
    return {family: {family: 1.0} for family in families}


def _prices(
    trace: Trace,
    times: LatencyRecord,
    batch_size: int,
    mix: Mapping[str, float] | None,
    request: PlanRequest,
) -> CallPrices:
    context = request.context_tokens
    if context is None:
        context = mean_context_tokens(trace, None if mix is None else tuple(mix))
    return prices_of(trace, times, batch_size, context, request.loop_seconds)


def equal_mix(trace: Trace, families: Sequence[str]) -> dict[str, float] | None:
    """Equal shares of these families; None for all. Raises InvalidInput for one that the trace lacks."""
    for family in families:
        if family not in trace.families:
            raise InvalidInput(
                f"the trace holds no family {family!r}, expected one of {', '.join(trace.families)}",
                argument="families",
            )
    return dict.fromkeys(families, 1.0) or None
