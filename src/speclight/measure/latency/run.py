"""Times calls of a target into a record folder; a round is the resumable unit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import torch

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import NO_DRAFTER, DrafterChoice
from speclight.drafting.drafter_labels import distinct_labels, labelled_plans
from speclight.drafting.drafters import law_source
from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.calls import CallTimer, Clock
from speclight.measure.latency.ceilings import (
    flops_per_second,
    memory_bytes_per_second,
    stream_bytes_per_second,
)
from speclight.measure.latency.drafting import LevelTimer, text_needed
from speclight.measure.latency.level_times import TimedLevel
from speclight.measure.latency.loop import loop_steps, timed_loop
from speclight.measure.latency.record import (
    KIND,
    MACHINE,
    LatencyRecord,
    drafter_name,
    drafter_table,
    loop_name,
    loop_table,
    machine_table,
    read_latency,
    round_name,
    round_table,
    shallow_name,
)
from speclight.measure.latency.roofline import CallWork, Ceilings
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.latency.shape import ShapedTarget
from speclight.measure.machine_load import load_average, machine_load
from speclight.measure.plan import run_plan
from speclight.measure.prompts import shipped_prompts
from speclight.measure.provenance import machine_class
from speclight.measure.store import RecordFolder, recording
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.seeds import stream


def run_latency(
    model: CausalLM,
    settings: LatencySettings,
    folder: Path,
    drafters: Sequence[ComparedDrafter] = (),
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> LatencyRecord:
    """Time calls of every size, context and batch in turn, then drafters and the machine's ceilings.

    drafters: their calls are timed while they grow best-first trees to every node budget above 1, at the
    middle one of the contexts.

    A killed run goes on with the first round missing, after warming up anew. Raises StorageError if the
    folder holds another plan, machine, threads and versions of torch and Transformers included;
    ContextOverflow for contexts that leave no room for the largest tree.
    """
    labels = distinct_labels(drafters)
    plan = _plan(model, settings, call_work(model)) | {"drafters": labelled_plans(drafters)}
    if settings.loop_calls:
        plan["loops"] = [NO_DRAFTER, *labels]
    texts = [running_text(model, tokens) for tokens in settings.context_tokens]
    with recording(folder, plan) as records:
        before = load_average()
        _time_rounds({round_name: model}, texts, settings, records, clock, progress)
        for number, (label, drafter) in enumerate(zip(labels, drafters, strict=True)):
            if not records.has(drafter_name(number)):
                timed = _timed_drafter(model, label, drafter.choice, settings, clock, progress)
                records.write(drafter_name(number), timed)
        if settings.loop_calls:
            _time_loops(model, (None, *drafters), (NO_DRAFTER, *labels), settings, records, progress)
        _measure_machine(model, before, records, clock, progress)
    return read_latency(folder)


def run_shape_latency(
    shape: ShapedTarget,
    settings: LatencySettings,
    folder: Path,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> LatencyRecord:
    """The same for a target of which only the shape is known, after random tokens.

    Where not all layers fit, two numbers of layers are timed in turn, and the reader of the record draws the
    straight line through both. Raises as `run_latency`.
    """
    model, measured = shape.model, {round_name: shape.model}
    if shape.shallow is not None:
        measured = {shallow_name: shape.shallow, round_name: model}
    plan = _plan(model, settings, call_work(shape.outline)) | {
        "layers": shape.outline.layers,
        "layers_measured": [timed.layers for timed in measured.values()],
    }
    drawn = stream(0).integers(0, model.vocabulary_size, settings.context_tokens[-1])
    texts = [drawn[:tokens].tolist() for tokens in settings.context_tokens]
    with recording(folder, plan) as records:
        before = load_average()
        _time_rounds(measured, texts, settings, records, clock, progress)
        _measure_machine(model, before, records, clock, progress)
    return read_latency(folder)


def _plan(model: CausalLM, settings: LatencySettings, work: CallWork | None) -> dict[str, object]:
    return run_plan(
        KIND,
        model,
        device=str(model.device),
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        machine=machine_class(),
        versions={name: metadata.version(name) for name in ("torch", "transformers")},
        settings=asdict(settings),
        work=None if work is None else asdict(work),
    )


def _measure_machine(
    model: CausalLM, load_before: float, records: RecordFolder, clock: Clock, progress: Progress
) -> None:
    if records.has(MACHINE):
        return
    progress(0, 1, "the machine's ceilings")
    ceilings = Ceilings(
        memory_bytes_per_second(model.device, model.model.dtype, clock=clock),
        flops_per_second(model.device, model.model.dtype, clock=clock),
        stream_bytes_per_second(model, clock),
    )
    records.write(MACHINE, machine_table(ceilings, machine_load(load_before, torch.get_num_threads())))
    progress(1, 1, "the machine's ceilings")


def _time_rounds(
    models: Mapping[Callable[[int], str], CausalLM],
    texts: Sequence[Sequence[int]],
    settings: LatencySettings,
    records: RecordFolder,
    clock: Clock,
    progress: Progress,
) -> None:
    """Rounds of all models in turn. models: by the function that names the unit of one of its rounds."""
    due = [
        number
        for number in range(settings.rounds)
        if not all(records.has(unit_name(number)) for unit_name in models)
    ]
    if not due:
        return
    timers = {
        unit_name: CallTimer(model, texts, settings.node_budgets, settings.batch_sizes, clock)
        for unit_name, model in models.items()
    }
    label, steps = "rounds of target calls", settings.warm_up + len(due)
    for number in range(settings.warm_up):
        for timer in timers.values():
            timer.round()
        progress(number + 1, steps, label)
    for place, number in enumerate(due, start=settings.warm_up + 1):
        for unit_name, timer in timers.items():
            table = round_table(timer.round(), timer.batch_sizes, timer.context_tokens, timer.node_budgets)
            records.write(unit_name(number), table)
        progress(place, steps, label)


def _timed_drafter(
    model: CausalLM,
    label: str,
    drafter: DrafterChoice,
    settings: LatencySettings,
    clock: Clock,
    progress: Progress,
) -> pa.Table:
    budgets = [budget for budget in settings.node_budgets if budget > 1]
    context = settings.context_tokens[len(settings.context_tokens) // 2]
    rounds = settings.warm_up + settings.rounds
    text = running_text(model, text_needed(context, budgets, rounds))
    timer = LevelTimer(model, law_source(drafter, model), text, context, clock)
    levels: list[TimedLevel] = []
    for number in range(rounds):
        drafts = [timer.draft(budget) for budget in (budgets if number % 2 == 0 else reversed(budgets))]
        if number >= settings.warm_up:
            levels += itertools.chain(*drafts)
        progress(number + 1, rounds, f"rounds of drafts of {label}")
    return drafter_table(label, context, levels)


def _time_loops(
    model: CausalLM,
    drafters: Sequence[ComparedDrafter | None],
    labels: Sequence[str],
    settings: LatencySettings,
    records: RecordFolder,
    progress: Progress,
) -> None:
    middle = settings.context_tokens[len(settings.context_tokens) // 2]
    text, largest = running_text(model, middle), settings.node_budgets[-1]
    for number, (label, drafter) in enumerate(zip(labels, drafters, strict=True)):
        if records.has(loop_name(number)):
            continue
        choice, calls = None if drafter is None else drafter.choice, []
        for place, own in enumerate(
            timed_loop(model, choice, text, settings.loop_calls, largest, settings.sampling)
        ):
            calls += own
            progress(place + 1, loop_steps(choice, largest), f"calls of a decode with {label}")
        records.write(loop_name(number), loop_table(calls))


def running_text(model: CausalLM, tokens: int) -> list[int]:
    """That many tokens of the shipped prompts, one after the other and over again."""
    turns = [turn for prompt in shipped_prompts() for turn in prompt.turns]
    found: list[int] = []
    for turn in itertools.cycle(turns):
        if len(found) >= tokens:
            break
        found += model.tokenizer.encode(f"{turn}\n\n")
    return found[:tokens]
