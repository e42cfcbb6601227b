"""What a reader of the demo's report may ask: other node budgets, call times, drafters, temperatures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.advice.recorded_loads import MIX, SHOWN_BUDGETS, call_time_presets
from speclight.advice.what_if import Drafted, DraftedCalls, Load, WhatIf
from speclight.arrays import FloatArray
from speclight.decoding.call_trace import CallTrace
from speclight.experiments.demo.drafter_run import DrafterRun, summary_of
from speclight.experiments.demo.waterfall import TREE
from speclight.measure.decoded_run.call_starts import SearchedPrompt
from speclight.measure.estimates import ratio_of_totals, within
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.paired_times import tokens_per_second
from speclight.measure.profile import Profile
from speclight.theory.ergodic.decode import decode_bound


def demo_what_if(
    profile: Profile,
    times: CallTimeCurve,
    runs: Sequence[DrafterRun],
    judged: DrafterRun,
    searched: Sequence[SearchedPrompt],
) -> WhatIf:
    """The limit at every node budget timed, and the drafters at those up to what they decoded with.

    runs: one for each drafter and temperature, all families together. judged: the one of the headline, whose
    load comes first; searched: the best trees at its call starts. A smaller tree of a drafter is the
    likeliest part of the one it drafted, at the same call starts; its drafting counts as that of the larger.
    What a call took in the decodes beyond its call time, plain or drafted, is its loop: so the machine as
    measured gives the speeds that were measured.
    """
    context = float(np.mean([call.start for call in judged.calls]))
    sizes = np.arange(1, int(times.nodes[-1]) + 1)
    seconds = np.interp(sizes, times.nodes, times.at(context)).tolist()
    temperatures = dict.fromkeys([judged.temperature, *(run.temperature for run in runs)])
    return WhatIf(
        loads=tuple(
            _load(profile, temperature, runs, judged, searched, seconds) for temperature in temperatures
        ),
        call_times=call_time_presets(seconds),
        plain_loop_seconds=1.0 / summary_of(judged).plain_tokens_per_second - seconds[0],
    )


def _load(
    profile: Profile,
    temperature: float,
    runs: Sequence[DrafterRun],
    judged: DrafterRun,
    searched: Sequence[SearchedPrompt],
    seconds: Sequence[float],
) -> Load:
    largest = len(seconds)
    shown = tuple(sorted({*(budget for budget in SHOWN_BUDGETS if budget <= largest), largest}))
    limit = upper = tuple(map(float, shown))  # greedy text is certain: its best tree is the text itself
    if temperature > 0.0:
        texts = [text for family in profile.families for text in profile.sampled_texts(family)]
        bounds = [decode_bound(texts, budget).going_on for budget in shown]
        limit, upper = tuple(bound.value for bound in bounds), tuple(bound.upper for bound in bounds)
    own = [run for run in runs if run.temperature == temperature]
    own.sort(key=lambda run: run.drafter != judged.drafter)
    return Load(
        name=MIX,
        temperature=temperature,
        prompts=len({item.prompt.prompt_id for run in own for item in run.decoded}),
        node_budgets=shown,
        limit=limit,
        limit_upper=upper,
        drafted=tuple(_drafted(run, searched if run is judged else None, shown, seconds) for run in own),
    )


def _drafted(
    run: DrafterRun,
    searched: Sequence[SearchedPrompt] | None,
    shown: Sequence[int],
    seconds: Sequence[float],
) -> Drafted:
    prompts = [item.prompt.prompt_id for item in run.decoded for _ in item.generation.calls]
    falling = [_probabilities(call) for call in run.calls]
    best = None if searched is None else [np.exp(tree) for item in searched for tree in item.best]
    drafting = float(np.mean([call.seconds.draft for call in run.calls]))
    loop = _call_seconds(run) - drafting - float(np.mean([seconds[len(call.tree) - 1] for call in run.calls]))
    found: list[DraftedCalls] = []
    for budget in (budget for budget in shown if budget <= run.node_budget):
        tokens = [float(each[:budget].sum()) for each in falling]
        sizes, counts = np.unique([min(budget, len(each)) for each in falling], return_counts=True)
        estimate = within(ratio_of_totals(prompts, tokens, [1.0] * len(tokens)), 1.0, float(budget))
        found.append(
            DraftedCalls(
                node_budget=budget,
                tokens=estimate,
                best_tree=None if best is None else float(np.mean([each[:budget].sum() for each in best])),
                likeliest=estimate.value,
                sizes=tuple(sizes.tolist()),
                shares=tuple((counts / counts.sum()).tolist()),
                draft_seconds=drafting,
                loop_seconds=loop,
            )
        )
    starts = f"the call starts of its decode at P = {run.node_budget}, up to which its trees are known"
    return Drafted(run.drafter, TREE, run.rule, starts, tuple(found))


def _call_seconds(run: DrafterRun) -> float:
    """Of a whole call, in all rounds: they have the same seeds, so each has the calls of the first."""
    tokens = sum(len(item.generation.token_ids) for item in run.decoded)
    return tokens / len(run.calls) / tokens_per_second(run.timed, run.drafter)


def _probabilities(call: CallTrace) -> FloatArray:
    """[nodes] of the paths under the target, the drafter's likeliest nodes first: parents before children."""
    assert call.target_log_probs is not None, "the demo decodes with record_target_log_probs"
    totals = np.zeros(len(call.tree))
    for node in range(1, len(call.tree)):
        totals[node] = totals[call.tree.parents[node]] + call.target_log_probs[node]
    return np.exp(totals)[np.argsort(-call.tree.path_log_probs, kind="stable")]
