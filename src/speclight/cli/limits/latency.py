"""`speclight latency`: how long a call of the target takes, by the size of its tree and of its context."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_picture, check_run, load_target
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars, waiting
from speclight.cli.threads import set_waiting
from speclight.errors import InvalidInput
from speclight.measure.latency.settings import LatencySettings

if TYPE_CHECKING:
    from speclight.measure.latency.curve import CallTimeCurve
    from speclight.measure.latency.level_times import LevelTimes
    from speclight.measure.latency.loop_times import LoopTimes
    from speclight.measure.latency.record import LatencyRecord
    from speclight.models.kernels import Kernels


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyOptions:
    """Options of `speclight latency`."""

    out: Path = Path("out/latency")
    """Folder for the record; a killed run goes on where it stopped when the command is repeated."""
    plot: Path | None = None
    """Draw the curve beside the machine's roofline into this .png or .svg file."""
    shape: Path | None = None
    """A config.json: time a target of that shape with random weights, as time does not depend on them. Where
    memory is short, two parts of its layers are timed and the rest is extrapolated."""
    shape_layers: int | None = None
    """Layers of --shape that are made at most; as many as fit if not given."""
    engine_file: tuple[Path, ...] = ()
    """Read the times from files of SGLang's bench_speculative, vllm bench serve or llama-batched-bench
    (JSON lines) instead of timing a target."""
    drafter: tuple[str, ...] = ()
    """Drafters whose calls are timed too, as NAME or NAME=WEIGHTS, several times."""
    layers: int | None = None
    """How many of the target's first layers draft, for layer_skip and two_stage."""
    settings: LatencySettings = field(default_factory=LatencySettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def latency(options: LatencyOptions = LatencyOptions()) -> None:
    """Time calls of the target, T(nodes, context), and set them beside what the machine can do at best.

    Speculation pays while a call with a tree takes about as long as one without. Sizes and contexts take
    turns, round after round; medians and quartiles are shown as measured, nothing is smoothed. The dashed
    roofline is the least time in which this machine could read the call's bytes and do its operations.

        speclight latency --budget 1,2,4,8,16,32,64 --drafter eagle3 --plot latency.svg

    Measure on a quiet machine, with the same --threads, --dtype and --kernels as in decoding.
    """
    check_run(options.target, options.out, options.drafter, options.settings.node_budgets)
    _check_source(options)
    if options.plot is not None:
        check_picture("--plot", options.plot)

    with command_output(options.json) as output:
        if options.engine_file:
            record = _of_engine(options)
        else:
            record = _measured(options) if options.shape is None else _of_shape(options, options.shape)
        from speclight.report.latency import drafter_times, draw, latency_table, loop_times, sentences
        from speclight.report.rich_table import rich_table

        if options.plot is not None:
            output.show(f"figure: {draw(record, options.plot)}")
        if options.json:
            output.write_json({"folder": options.out, **_document(record)})
        else:
            output.show(*(rich_table(latency_table(record, curve)) for curve in record.curves))
            if record.drafters:
                output.show(rich_table(drafter_times(record)))
            if record.loops:
                output.show(rich_table(loop_times(record)))
            output.show(*sentences(record), f"record: {options.out}")


def _check_source(options: LatencyOptions) -> None:
    """Raise InvalidInput for more than one source of times, and for drafters without their target."""
    if options.shape is not None and options.engine_file:
        raise InvalidInput("got both --shape and --engine-file, expected one of them; leave one out")
    if options.drafter and (options.shape is not None or options.engine_file):
        raise InvalidInput(
            "got --drafter beside --shape or --engine-file, which have no target to draft for; leave it out"
        )
    if options.shape is not None and options.target.offload is not None:
        raise InvalidInput("got --offload beside --shape, whose weights lie nowhere; leave it out")
    if options.shape_layers is not None and (options.shape is None or options.shape_layers < 2):
        raise InvalidInput(
            f"got --shape-layers {options.shape_layers}, expected at least 2, and --shape beside it"
        )
    if options.shape is not None:
        from speclight.measure.latency.shape_file import config_file

        config_file(options.shape)


def _of_shape(options: LatencyOptions, shape: Path) -> LatencyRecord:
    set_waiting()
    with waiting(f"making random weights of the shape {shape.name}"):
        import torch

        from speclight.measure.latency.run import run_shape_latency
        from speclight.measure.latency.shape import shaped_target

        about = options.target
        if about.threads is not None:
            torch.set_num_threads(about.threads)
        kernels = cast("Kernels", about.kernels)
        shaped = shaped_target(shape, about.device, about.dtype, kernels, options.shape_layers)
    with progress_bars() as progress:
        return run_shape_latency(shaped, options.settings, options.out, progress=progress)


def _of_engine(options: LatencyOptions) -> LatencyRecord:
    from speclight.engines.call_times import record_call_times

    return record_call_times(options.engine_file, options.out)


def _measured(options: LatencyOptions) -> LatencyRecord:
    from speclight.drafting.chosen_drafters import compared_drafters
    from speclight.drafting.drafter_choices import DRAFTERS
    from speclight.measure.latency.run import run_latency

    target = load_target(options.target)
    named = tuple(DRAFTERS) if options.drafter else ()
    drafters = compared_drafters(target, named, options.drafter, options.layers, several=True)
    with progress_bars() as progress:
        return run_latency(target, options.settings, options.out, drafters, progress=progress)


def _document(record: LatencyRecord) -> dict[str, object]:
    ceilings = record.ceilings
    return {
        "target": record.target,
        "machine": record.plan.get("machine"),
        "versions": record.plan.get("versions"),
        "threads": record.plan.get("threads"),
        "dtype": record.plan.get("dtype"),
        "is_shared": None if record.load is None else record.load.is_shared,
        "memory_bytes_per_second": None if ceilings is None else ceilings.memory_bytes_per_second,
        "flops_per_second": None if ceilings is None else ceilings.flops_per_second,
        "stream_bytes_per_second": None if ceilings is None else ceilings.stream_bytes_per_second,
        "curves": [_curve_document(record, curve) for curve in record.curves],
        "drafters": [_drafter_document(times) for times in record.drafters],
        "loops": [_loop_document(times) for times in record.loops],
        "cautions": record.cautions,
        "layers": record.layers,
        "layers_measured": record.layers_measured,
    }


def _drafter_document(times: LevelTimes) -> dict[str, object]:
    return {
        "drafter": times.drafter,
        "context_tokens": times.context_tokens,
        "first_call_seconds": times.first[1],
        "nodes": times.nodes,
        "seconds": times.medians,
        "low": times.low,
        "high": times.high,
    }


def _loop_document(times: LoopTimes) -> dict[str, object]:
    return {"drafter": times.drafter, "calls": [asdict(call) for call in times.calls]}


def _curve_document(record: LatencyRecord, curve: CallTimeCurve) -> dict[str, object]:
    def least(tokens: int) -> list[float] | None:
        if record.work is None or record.ceilings is None:
            return None
        ceilings, work, batch = record.ceilings, record.work, curve.batch_size
        return [ceilings.least_seconds(work, int(nodes), tokens, batch) for nodes in curve.nodes]

    return {
        "batch_size": curve.batch_size,
        "nodes": curve.nodes,
        "contexts": [
            {
                "context_tokens": tokens,
                "seconds": curve.medians[place],
                "low": curve.low[place],
                "high": curve.high[place],
                "roofline_seconds": least(tokens),
                "flat_to_nodes": curve.flat_to(tokens),
            }
            for place, tokens in enumerate(curve.context_tokens.tolist())
        ],
        "falls": [
            {"context_tokens": fall.context_tokens, "smaller": fall.smaller, "larger": fall.larger}
            for fall in curve.falls
        ],
    }
