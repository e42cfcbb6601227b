"""`speclight plan`: the fastest drafter, tree and node budget on a machine, and what engines are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.advice.validation_settings import ValidationSettings
from speclight.checks import whole_number
from speclight.cli.options import (
    JsonFlag,
    TargetOptions,
    check_budgets,
    check_target,
    load_target,
    read_drafter_option,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.advice.engine_settings.engine import EngineSettings
    from speclight.advice.plan import Plan
    from speclight.advice.validation import Validated
    from speclight.measure.latency.record import LatencyRecord
    from speclight.measure.trace.record import Trace


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Options of `speclight plan`."""

    latency: Path = Path("out/latency")
    """Folder of call times of the target and of the drafters, from the machine that will decode."""
    drafter: tuple[str, ...] = ()
    """Only these drafters of the trace; all if not given. NAME, or NAME=WEIGHTS to validate with them."""
    growth: tuple[str, ...] = ()
    """Only these ways to grow a tree, as the trace lists them; all if not given."""
    node_budgets: tuple[int, ...] = ()
    """Node budgets P, as 8,16,64; every P up to the largest traced and timed if not given."""
    mix: tuple[str, ...] = ()
    """Share of the emitted tokens by family, as --mix code=2 --mix qa=1; equal shares if not given."""
    context_tokens: int | None = None
    """Tokens before a call, the prompt's included; as in the trace, on average, if not given."""
    loop_seconds: float = 0.0
    """Seconds around each call besides target and drafter, plain ones included."""
    top: int = 10
    """How many configurations the table shows, the fastest first."""
    validate: int = 0
    """Decode with this many of the fastest configurations and plainly, in turn, and compare; none if 0."""
    layers: int | None = None
    """With --validate: first layers of the target that draft for layer_skip, as in the trace."""
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def plan(trace: Path, /, *, options: PlanOptions = PlanOptions()) -> None:
    """Say which drafter, tree and node budget are fastest, by how much and why, and what engines are told.

    Tokens per call come from a trace, seconds from call times; plain decoding is compared too, and is often
    best where nodes are dear. Several batch sizes are planned for if they were timed. Settings are written
    for speclight, vLLM, SGLang, TensorRT-LLM, llama.cpp and Transformers, each with the best that it can do.

        speclight plan out/trace --latency out/latency --mix code=2 --mix conversation=1

    Args:
        trace: Folder of a trace.
        options: See PlanOptions.
    """
    mix = _checked_mix(options)

    from speclight.advice.engine_settings.known import all_settings
    from speclight.advice.plan_words import reasons, recommendation
    from speclight.measure.latency.record import read_latency
    from speclight.measure.trace.record import read_trace
    from speclight.report.plan import plan_table, settings_text, validation_table
    from speclight.report.rich_table import rich_table

    with command_output(options.json) as output:
        read, times = read_trace(trace), read_latency(options.latency)
        plans = [_plan(read, times, curve.batch_size, mix, options) for curve in times.curves]
        engines = all_settings(plans)
        for each in plans:
            output.show(rich_table(plan_table(each, options.top)), recommendation(each), *reasons(each), "")
        output.show(settings_text(engines))
        validated = _validated(read, plans[0], options) if options.validate else ()
        if validated:
            output.show("", rich_table(validation_table(validated)))
        if options.json:
            output.write_json(_document(read, plans, engines, validated))


def _checked_mix(options: PlanOptions) -> dict[str, float] | None:
    """The mix, after all else that can be told to be wrong before a record is read."""
    whole_number("top", options.top)
    whole_number("validate", options.validate, at_least=0)
    if options.node_budgets:
        check_budgets(options.node_budgets)
    if options.context_tokens is not None:
        whole_number("context_tokens", options.context_tokens)
    if options.validate:
        check_target(options.target)
    return read_mix(options.mix)


def read_mix(given: Sequence[str]) -> dict[str, float] | None:
    """Shares by family from FAMILY=SHARE each; None for none given. Raises InvalidInput for anything else."""
    mix: dict[str, float] = {}
    for item in given:
        family, equals, share = item.partition("=")
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if not family or not equals or not 0.0 < value < float("inf") or family in mix:
            raise InvalidInput(
                f"got {item!r}, expected FAMILY=SHARE with a number above 0, each family once; write code=2",
                argument="mix",
            )
        mix[family] = value
    return mix or None


def _plan(
    trace: Trace, times: LatencyRecord, batch_size: int, mix: dict[str, float] | None, options: PlanOptions
) -> Plan:
    from speclight.advice.configuration import deterministic_rule
    from speclight.advice.machine import prices_of
    from speclight.advice.plan import plan as plan_starts
    from speclight.advice.traced_calls import Choice

    prices = prices_of(trace, times, batch_size, options.context_tokens, options.loop_seconds)
    drafters = tuple(name.partition("=")[0] for name in options.drafter)
    choice = Choice(drafters, options.growth, options.node_budgets)
    return plan_starts(trace.starts, deterministic_rule(trace.sampling.temperature), prices, mix, choice)


def _document(
    trace: Trace,
    plans: Sequence[Plan],
    engines: Sequence[EngineSettings],
    validated: Sequence[Validated],
) -> dict[str, object]:
    from speclight.advice.plan_words import reasons, recommendation
    from speclight.report.plan import plan_document, settings_document, validation_document

    return {
        "target": trace.target,
        "temperature": trace.sampling.temperature,
        "recommendation": [recommendation(each) for each in plans],
        "reasons": [reasons(each) for each in plans],
        "plans": [plan_document(each) for each in plans],
        "engines": [settings_document(each) for each in engines],
        "validation": [validation_document(each) for each in validated],
    }


def _validated(trace: Trace, plan: Plan, options: PlanOptions) -> Sequence[Validated]:
    from speclight.advice.validation import validate

    drafting = [found for found in plan.predictions if not found.configuration.is_plain]
    given = {name.partition("=")[0]: name for name in options.drafter}
    choices = {
        name: read_drafter_option(given.get(name, name), options.layers if name == "layer_skip" else None)
        for name in dict.fromkeys(found.configuration.drafter for found in drafting[: options.validate])
    }
    target = load_target(options.target)
    with progress_bars() as progress:
        chosen = drafting[: options.validate]
        return validate(target, trace, plan, chosen, options.validation, choices, progress)
