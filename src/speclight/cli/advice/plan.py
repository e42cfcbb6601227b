"""`speclight plan`: the fastest drafter, tree and node budget on a machine, and what engines are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.advice.validation_settings import ValidationSettings
from speclight.checks import whole_number
from speclight.cli.advice.plan_page import check_page
from speclight.cli.options import (
    JsonFlag,
    TargetOptions,
    check_budgets,
    check_target,
    check_writable,
    load_target,
    read_drafter_option,
)
from speclight.cli.output import Output, command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.advice.engine_settings.engine import EngineSettings
    from speclight.advice.plan import Plan
    from speclight.advice.trace_plans import NamedPlan
    from speclight.advice.traced_calls import Choice
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
    auto: bool = True
    """Also predict --budget auto, where each call sets its own P."""
    batch_sizes: tuple[int, ...] = ()
    """Texts decoded at once, of those that were timed, as 1,4,16; each has a plan; all if not given."""
    mix: tuple[str, ...] = ()
    """Share of the emitted tokens by family, as --mix code=2 --mix qa=1; equal shares if not given."""
    families: tuple[str, ...] = ()
    """Only these families, in equal shares, in place of --mix."""
    by_family: bool = False
    """A plan for each family by itself instead of one for their mix."""
    context_tokens: int | None = None
    """Tokens before a call, the prompt's included; as in the trace, on average, if not given."""
    loop_seconds: float | None = None
    """Seconds around each call besides target and drafter, plain ones included; as --latency has them if not
    given."""
    top: int = 10
    """How many configurations the table shows, the fastest first."""
    validate: int = 0
    """Decode with this many of the fastest configurations and plainly, in turn, and compare; none if 0."""
    out: Path = Path("out/plan")
    """With --validate: folder for what is decoded; a killed run goes on when the command is repeated."""
    layers: int | None = None
    """With --validate: first layers of the target that draft for layer_skip, as in the trace."""
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    page: Path | None = None
    """Also write a page for people into this .html file: the answer, and sliders for what if."""
    also: tuple[Path, ...] = ()
    """With --page: traces of the same target at other temperatures, to choose from there."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def plan(trace: Path, /, *, options: PlanOptions = PlanOptions()) -> None:
    """Say which drafter, tree and node budget are fastest, by how much and why, and what engines are told.

    Tokens per call come from a trace, seconds from call times; plain decoding is compared too, and is often
    best where nodes are dear. Several batch sizes are planned for if they were timed. Settings are written
    for speclight, vLLM, SGLang, TensorRT-LLM, llama.cpp and Transformers, each with the best that it can do.

        speclight plan out/trace --latency out/latency --mix code=2 --mix conversation=1 --page plan.html

    Predictions are held against decoding by --validate, family by family with --by-family:

        speclight plan out/trace --latency out/latency --by-family --validate 1 --out out/plan

    Args:
        trace: Folder of a trace.
        options: See PlanOptions.
    """
    mix = _checked_mix(options)

    from speclight.measure.latency.record import read_latency
    from speclight.measure.trace.record import read_trace

    read, times = read_trace(trace), read_latency(options.latency)  # a wrong folder is told at once

    from speclight.advice.engine_settings.known import all_settings

    with command_output(options.json) as output:
        plans = _plans(read, times, mix, options)
        engines = () if options.by_family else all_settings([each.plan for each in plans])
        _show(plans, engines, options, output)
        validated = _validated(read, times, plans, options) if options.validate else ()
        if options.page is not None:
            page = _page(options.page, read, times, trace, plans[0].plan, options)
            output.show("", f"page: {page}")
        if validated:
            from speclight.report.plan import validation_sentence, validation_table
            from speclight.report.rich_table import rich_table

            output.show("", rich_table(validation_table(validated)), validation_sentence(validated))
        if options.json:
            output.write_json(_document(read, plans, engines, validated))


def _plans(
    trace: Trace, times: LatencyRecord, mix: dict[str, float] | None, options: PlanOptions
) -> tuple[NamedPlan, ...]:
    from speclight.advice.trace_plans import PlanRequest, equal_mix, plans_of_trace

    request = PlanRequest(
        _choice(trace, options),
        options.batch_sizes,
        equal_mix(trace, options.families) if options.families else mix,
        options.by_family,
        options.context_tokens,
        options.loop_seconds,
        options.auto,
    )
    return plans_of_trace(trace, times, request)


def _choice(trace: Trace, options: PlanOptions) -> Choice:
    from speclight.advice.traced_calls import Choice
    from speclight.drafting.drafter_labels import label_given

    drafters = tuple(label_given(item, trace.drafters) for item in options.drafter)
    return Choice(drafters, options.growth, options.node_budgets)


def _show(
    plans: Sequence[NamedPlan], engines: Sequence[EngineSettings], options: PlanOptions, output: Output
) -> None:
    from speclight.advice.plan_words import reasons, recommendation
    from speclight.report.plan import overview_table, plan_table, settings_text
    from speclight.report.rich_table import rich_table

    for each in plans:
        title = [each.name] if options.by_family else []
        table = rich_table(plan_table(each.plan, options.top))
        output.show(*title, table, recommendation(each.plan), *reasons(each.plan), "")
    if len(plans) > 1:
        output.show(rich_table(overview_table(plans)), "")
    if engines:
        output.show(settings_text(engines))


def _page(
    path: Path, trace: Trace, times: LatencyRecord, folder: Path, plan: Plan, options: PlanOptions
) -> Path:
    from speclight.advice.machine import mean_context_tokens, prices_of
    from speclight.cli.advice.plan_page import write_page
    from speclight.measure.trace.record import read_trace

    context = options.context_tokens or mean_context_tokens(trace, tuple(plan.mix))
    prices = prices_of(trace, times, plan.batch_size, context, options.loop_seconds)
    traces = [trace, *map(read_trace, options.also)]
    return write_page(path, traces, times, (folder, options.latency), plan, prices, _choice(trace, options))


def _checked_mix(options: PlanOptions) -> dict[str, float] | None:
    """The mix, after all else that can be told to be wrong before a record is read."""
    whole_number("top", options.top)
    whole_number("validate", options.validate, at_least=0)
    if options.node_budgets:
        check_budgets(options.node_budgets)
    if options.context_tokens is not None:
        whole_number("context_tokens", options.context_tokens)
    if options.families and options.mix:
        raise InvalidInput("got both --families and --mix, expected one of them; leave one out")
    if options.page is not None:
        check_page(options.page)
        if options.by_family:
            raise InvalidInput("got both --page and --by-family, expected one; the page has a choice of them")
    elif options.also:
        raise InvalidInput(
            "got --also without --page, expected both: further traces are for the page; add --page plan.html"
        )
    if options.validate:
        check_target(options.target)
        check_writable(options.out)
        for drafter in options.drafter:
            read_drafter_option(drafter)
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


def _document(
    trace: Trace,
    plans: Sequence[NamedPlan],
    engines: Sequence[EngineSettings],
    validated: Sequence[Validated],
) -> dict[str, object]:
    from speclight.advice.plan_words import reasons, recommendation
    from speclight.report.plan import plan_document, settings_document, validation_document

    return {
        "target": trace.target,
        "temperature": trace.sampling.temperature,
        "recommendation": [recommendation(each.plan) for each in plans],
        "reasons": [reasons(each.plan) for each in plans],
        "plans": [{"name": each.name, **plan_document(each.plan)} for each in plans],
        "engines": [settings_document(each) for each in engines],
        "validation": [validation_document(each) for each in validated],
    }


def _validated(
    trace: Trace, times: LatencyRecord, plans: Sequence[NamedPlan], options: PlanOptions
) -> Sequence[Validated]:
    """The plans of single texts, each with its fastest drafts."""
    from speclight.advice.validation import ValidationCase, validate
    from speclight.drafting.chosen_drafters import ComparedDrafter
    from speclight.drafting.drafter_labels import label_given
    from speclight.drafting.drafter_names import name_and_weights

    smallest = min(each.plan.batch_size for each in plans)
    cases = [
        ValidationCase(each.name, tuple(each.plan.mix), each.plan, each.plan.fastest_drafts(options.validate))
        for each in plans
        if each.plan.batch_size == smallest
    ]
    given = {label_given(item, trace.drafters): item for item in options.drafter}
    used = dict.fromkeys(found.configuration.drafter for case in cases for found in case.chosen)
    drafters = {
        label: ComparedDrafter(
            *name_and_weights(given.get(label, label)), options.layers if label == "layer_skip" else None
        )
        for label in used
    }
    for drafter in drafters.values():
        _ = drafter.choice  # weights that are missing are told before the target is loaded
    target = load_target(options.target)
    with progress_bars() as progress:
        return validate(target, trace, times, cases, drafters, options.validation, options.out, progress)
