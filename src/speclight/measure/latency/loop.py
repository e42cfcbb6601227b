"""Decodes whose calls are timed phase by phase: what `LoopTimes` is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from speclight.decoding.decode import decode
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import NO_DRAFTER, DrafterChoice, Plain
from speclight.drafting.drafters import law_source
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import Drafter
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.drafting.tree_names import read_tree
from speclight.measure.latency.loop_times import LoopCall
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.verification.rules import rule_named

# One of each kind; of EAGLE-2 the default limits.
TIMED_GROWTHS = ("best_first", "eagle2", "threshold=0.05", "chain", "batch")
# Trees of these sizes show how seconds rise with the nodes. Longer chains take long to draft.
TIMED_BUDGETS, LONGEST_CHAIN = (2, 4, 8, 16, 32), 8
# First calls of a decode, which take longer.
WARM_UP_CALLS = 2


def timed_loop(
    model: CausalLM,
    drafter: DrafterChoice | None,
    prompt_ids: Sequence[int],
    calls: int,
    largest: int,
    sampling: SamplingSettings,
) -> Iterator[list[LoopCall]]:
    """So many calls after the prompt with each growth and node budget up to `largest`, growth by growth.

    drafter: None for plain decoding. Fewer calls where the text ends or the window is full.
    """
    if drafter is None:
        rule = rule_named("target_sample")
        plain = drafter_for(model, Plain(), rule, sampling)
        yield _calls(model, plain, NO_DRAFTER, 1, prompt_ids, calls, sampling)
        return
    source = law_source(drafter, model, sampling)
    for growth, budget in _trees(largest):
        made = TreeDrafter(source, growth_start(read_tree(growth, "deterministic"), model))
        yield _calls(model, made, growth, budget, prompt_ids, calls, sampling)


def loop_steps(drafter: DrafterChoice | None, largest: int) -> int:
    """How many lists of calls `timed_loop` gives."""
    return 1 if drafter is None else len(_trees(largest))


def _trees(largest: int) -> list[tuple[str, int]]:
    return [
        (growth, budget)
        for growth in TIMED_GROWTHS
        for budget in TIMED_BUDGETS
        if budget <= (min(largest, LONGEST_CHAIN) if growth == "chain" else largest)
    ]


def _calls(
    model: CausalLM,
    drafter: Drafter,
    growth: str,
    node_budget: int,
    prompt_ids: Sequence[int],
    calls: int,
    sampling: SamplingSettings,
) -> list[LoopCall]:
    rule = rule_named("greedy" if sampling.temperature == 0.0 else "target_sample")
    enough = calls + WARM_UP_CALLS
    settings = DecodeSettings(node_budget, max_tokens=enough * node_budget, sampling=sampling)
    traces = list(islice(decode(model, drafter, rule, list(prompt_ids), settings), enough))
    return [
        LoopCall(
            growth,
            node_budget,
            len(trace.tree),
            trace.draft_cost.calls,
            trace.draft_cost.expanded_nodes,
            trace.seconds.draft,
            trace.seconds.target,
            trace.seconds.verify + trace.seconds.commit,
        )
        for trace in traces[min(WARM_UP_CALLS, len(traces) - 1) :]
    ]
