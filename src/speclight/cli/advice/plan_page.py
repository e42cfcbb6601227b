"""`speclight plan --page`: what its page is made of."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speclight.cli.options import check_writable
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.advice.plan import Plan
    from speclight.advice.prices import CallPrices
    from speclight.advice.recorded_loads import TracedLoad
    from speclight.advice.traced_calls import Choice
    from speclight.measure.latency.record import LatencyRecord
    from speclight.measure.trace.record import Trace


def check_page(path: Path) -> None:
    """Raise InvalidInput or StorageError for a page that cannot be written, before a record is read."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(f"got --page {path.name!r}, expected a name that ends in .html", argument="page")
    check_writable(path.parent)


def write_page(
    path: Path,
    traces: Sequence[Trace],
    times: LatencyRecord,
    folders: tuple[Path, Path],
    plan: Plan,
    prices: CallPrices,
    choice: Choice,
) -> Path:
    """Write the page of a plan of the first trace; the others are offered to choose from.

    folders: of the trace and of the call times, for the commands that made them.
    """
    from speclight.advice.engine_settings.known import all_settings
    from speclight.advice.recorded_loads import what_if_of
    from speclight.advice.speed_limit import check_target_timed
    from speclight.report.plan_page.html import PlannedPage, write_plan_page
    from speclight.report.what_if.definitions import Commands

    if plan.batch_size != 1 or plan.limit is None:
        raise InvalidInput(
            f"got a plan for {plan.batch_size} texts at once, expected one for single texts, which the page "
            "is of; time calls with batch size 1 among them",
            argument="batch_sizes",
        )
    for trace in traces:
        check_target_timed(times, trace.target, trace.weights_sha256)
    loads = [_load(trace, plan, prices, choice) for trace in traces]
    records, latency = map(str, folders)
    page = PlannedPage(
        target=traces[0].target,
        plan=plan,
        limit=plan.limit,
        what_if=what_if_of(loads),
        engines=all_settings([plan]),
        commands=Commands(
            texts=shlex.join(["speclight", "trace", *_named(traces[0]), "--out", records]),
            times=shlex.join(["speclight", "latency", *_named(traces[0]), "--out", latency]),
            page=shlex.join(["speclight", *sys.argv[1:]]),
        ),
        provenance=_provenance(traces, times, plan, prices),
    )
    return write_plan_page(page, path)


def _load(trace: Trace, plan: Plan, prices: CallPrices, choice: Choice) -> TracedLoad:
    from speclight.advice.configuration import deterministic_rule
    from speclight.advice.recorded_loads import TracedLoad

    temperature = trace.sampling.temperature
    absent = [family for family in plan.mix if family not in trace.families]
    if absent:
        raise InvalidInput(
            f"the trace at temperature {temperature:g} holds no texts of {', '.join(absent)}, expected the "
            "families of the first trace; trace them too, or leave them out of the mix",
            argument="also",
        )
    return TracedLoad(
        starts=trace.starts,
        texts={family: trace.profile.sampled_texts(family) for family in plan.mix},
        temperature=temperature,
        rule=deterministic_rule(temperature),
        prices=prices,
        shares=plan.mix,
        choice=choice,
    )


def _named(trace: Trace) -> list[str]:
    return [word for name in trace.drafters for word in ("--drafter", name)]


def _provenance(
    traces: Sequence[Trace], times: LatencyRecord, plan: Plan, prices: CallPrices
) -> list[tuple[str, str]]:
    from speclight import __version__

    starts = ", ".join(
        f"{len(trace.starts)} at temperature {trace.sampling.temperature:g}" for trace in traces
    )
    rows = [
        ("Target", traces[0].target),
        ("Weights, SHA-256", traces[0].weights_sha256 or "not recorded"),
        ("Starts traced", f"{starts}, of the families {', '.join(plan.mix)}"),
        ("Machine", str(times.plan.get("machine", "not recorded"))),
        (
            "Call times",
            f"medians of {times.plan['settings']['rounds']} rounds, at {prices.context_tokens:.0f} tokens of "
            f"context; {1e3 * prices.plain_loop:.3g} ms around a plain call",
        ),
        ("Version", f"speclight {__version__}"),
    ]
    return [*rows, *(("Caution", caution) for caution in times.cautions)]
