"""Times calls of a target into a record folder; a round is the resumable unit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import torch

from speclight.drafting.chosen_drafters import ComparedDrafter
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
from speclight.measure.latency.record import (
    KIND,
    MACHINE,
    LatencyRecord,
    drafter_name,
    drafter_table,
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
    drafters: Sequence[ComparedDrafter] = (),
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> LatencyRecord:
    """Time calls of every size, context and batch in turn, then drafters and the machine's ceilings.

    drafters: their calls are timed while they grow best-first trees to every node budget above 1, at the
    middle one of the contexts.

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
        drafters=[drafter.plan() for drafter in drafters],
    )
    with recording(folder, plan) as records:
        before = load_average()
        _time_rounds(model, settings, records, clock, progress)
        for number, drafter in enumerate(drafters):
            if not records.has(drafter_name(number)):
                records.write(drafter_name(number), _timed_drafter(model, drafter, settings, clock, progress))
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


def _timed_drafter(
    model: CausalLM, drafter: ComparedDrafter, settings: LatencySettings, clock: Clock, progress: Progress
) -> pa.Table:
    budgets = [budget for budget in settings.node_budgets if budget > 1]
    context = settings.context_tokens[len(settings.context_tokens) // 2]
    rounds = settings.warm_up + settings.rounds
    text = running_text(model, text_needed(context, budgets, rounds))
    timer = LevelTimer(model, law_source(drafter.choice, model), text, context, clock)
    levels: list[TimedLevel] = []
    for number in range(rounds):
        drafts = [timer.draft(budget) for budget in (budgets if number % 2 == 0 else reversed(budgets))]
        if number >= settings.warm_up:
            levels += itertools.chain(*drafts)
        progress(number + 1, rounds, f"rounds of drafts of {drafter.label}")
    return drafter_table(drafter.label, context, levels)


def running_text(model: CausalLM, tokens: int) -> list[int]:
    """That many tokens of the shipped prompts, one after the other and over again."""
    turns = [turn for prompt in shipped_prompts() for turn in prompt.turns]
    found: list[int] = []
    for turn in itertools.cycle(turns):
        if len(found) >= tokens:
            break
        found += model.tokenizer.encode(f"{turn}\n\n")
    return found[:tokens]
