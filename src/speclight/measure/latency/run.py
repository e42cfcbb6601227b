"""Times calls of a target into a record folder; a round is the resumable unit."""

from __future__ import annotations

import time
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import torch

from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.calls import CallTimer, Clock
from speclight.measure.latency.ceilings import (
    flops_per_second,
    memory_bytes_per_second,
    stream_bytes_per_second,
)
from speclight.measure.latency.record import (
    KIND,
    MACHINE,
    LatencyRecord,
    machine_table,
    read_latency,
    round_name,
    round_table,
)
from speclight.measure.latency.roofline import Ceilings
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.machine_load import load_average, machine_load
from speclight.measure.plan import run_plan
from speclight.measure.prompts import shipped_prompts
from speclight.measure.provenance import machine_class
from speclight.measure.store import RecordFolder, recording
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent


def run_latency(
    model: CausalLM,
    settings: LatencySettings,
    folder: Path,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> LatencyRecord:
    """Time calls of every size, context and batch in turn, and measure the machine's ceilings after them.

    A killed run goes on with the first round missing, after warming up anew. Raises StorageError if the
    folder holds another plan (another machine's or number of threads included), ContextOverflow for contexts
    that leave no room for the largest tree.
    """
    work = call_work(model)
    plan = run_plan(
        KIND,
        model,
        device=str(model.device),
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        machine=machine_class(),
        offload=model.loaded.offload,
        settings=asdict(settings),
        work=None if work is None else asdict(work),
    )
    with recording(folder, plan) as records:
        before = load_average()
        _time_rounds(model, settings, records, clock, progress)
        if not records.has(MACHINE):
            progress(0, 1, "the machine's ceilings")
            ceilings = Ceilings(
                memory_bytes_per_second(model.device, model.model.dtype, clock=clock),
                flops_per_second(model.device, model.model.dtype, clock=clock),
                stream_bytes_per_second(model, clock),
            )
            records.write(MACHINE, machine_table(ceilings, machine_load(before, torch.get_num_threads())))
            progress(1, 1, "the machine's ceilings")
    return read_latency(folder)


def _time_rounds(
    model: CausalLM, settings: LatencySettings, records: RecordFolder, clock: Clock, progress: Progress
) -> None:
    due = [number for number in range(settings.rounds) if not records.has(round_name(number))]
    if not due:
        return
    texts = [running_text(model, tokens) for tokens in settings.context_tokens]
    timer = CallTimer(model, texts, settings.node_budgets, settings.batch_sizes, clock)
    steps = settings.warm_up + len(due)
    for number in range(settings.warm_up):
        timer.round()
        progress(number + 1, steps, "rounds of target calls")
    for place, number in enumerate(due, start=settings.warm_up + 1):
        table = round_table(timer.round(), timer.batch_sizes, timer.context_tokens, timer.node_budgets)
        records.write(round_name(number), table)
        progress(place, steps, "rounds of target calls")


def running_text(model: CausalLM, tokens: int) -> list[int]:
    """That many tokens of the shipped prompts, one after the other and over again."""
    turns = [turn for prompt in shipped_prompts() for turn in prompt.turns]
    found: list[int] = []
    for turn in cycle(turns):
        if len(found) >= tokens:
            break
        found += model.tokenizer.encode(f"{turn}\n\n")
    return found[:tokens]
