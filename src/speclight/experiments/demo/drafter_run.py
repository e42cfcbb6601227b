"""What one drafter did in one setting: its decoded prompts, timed in turn with plain decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.settings import DecodeSettings
from speclight.experiments.demo.record import ALL_FAMILIES, DecodingSummary, DepthAcceptance, PromptTotals
from speclight.measure.decoded_run.decoding import PLAIN_DECODERS, DecodedPrompt, Divergences
from speclight.measure.estimates import mean_over, ratio_of_totals, within
from speclight.measure.looping import looping_tokens
from speclight.measure.paired_times import TimedPrompt, log_speed_ups, speed_up, tokens_per_second


@dataclass(frozen=True, slots=True, eq=False)
class DrafterRun:
    """One family, or all of them, decoded with one drafter, rule, budget and temperature.

    decoded: the first round. plain: the same turns in speclight's own plain loop, in it too. timed: the same
    prompts, every round, plain decoders included. divergences: from plain greedy decoding, None above
    temperature 0.
    """

    family: str
    settings: DecodeSettings
    drafter: str
    rule: str
    decoded: tuple[DecodedPrompt, ...]
    plain: tuple[DecodedPrompt, ...]
    timed: tuple[TimedPrompt, ...]
    divergences: Divergences | None

    @property
    def temperature(self) -> float:
        """Of the target's law."""
        return self.settings.sampling.temperature

    @property
    def node_budget(self) -> int:
        """P, a number here: the demo compares with limits at a fixed one."""
        assert not isinstance(self.settings.node_budget, str), (
            "the demo's budget is never chosen by the clock"
        )
        return self.settings.node_budget

    @property
    def calls(self) -> list[CallTrace]:
        """All calls, prompt by prompt."""
        return [call for item in self.decoded for call in item.generation.calls]


def together(runs: Sequence[DrafterRun]) -> list[DrafterRun]:
    """One run for each drafter and temperature, of all families, in the order first met."""
    settings = dict.fromkeys((run.drafter, run.temperature) for run in runs)
    groups = [[run for run in runs if (run.drafter, run.temperature) == setting] for setting in settings]
    return [
        replace(
            group[0],
            family=ALL_FAMILIES,
            decoded=tuple(item for run in group for item in run.decoded),
            plain=tuple(item for run in group for item in run.plain),
            timed=tuple(item for run in group for item in run.timed),
            divergences=_sum_of_divergences(group),
        )
        for group in groups
    ]


def _sum_of_divergences(runs: Sequence[DrafterRun]) -> Divergences | None:
    found = [run.divergences for run in runs if run.divergences is not None]
    if len(found) < len(runs):
        return None
    return Divergences(sum(item.near_tie for item in found), sum(item.other for item in found))


def summary_of(run: DrafterRun) -> DecodingSummary:
    """What the report shows of a run."""
    calls, budget = run.calls, run.node_budget
    tokens = sum(len(item.generation.token_ids) for item in run.decoded)
    plain = {name: tokens_per_second(run.timed, name) for name in PLAIN_DECODERS}
    per_call = ratio_of_totals(
        [item.prompt.prompt_id for item in run.decoded],
        [len(item.generation.token_ids) for item in run.decoded],
        [len(item.generation.calls) for item in run.decoded],
    )
    return DecodingSummary(
        family=run.family,
        temperature=run.temperature,
        drafter=run.drafter,
        rule=run.rule,
        node_budget=budget,
        prompts=len({item.prompt.prompt_id for item in run.decoded}),
        tokens=tokens,
        calls=len(calls),
        tokens_per_call=within(per_call, 1.0, float(budget)),
        nodes_per_call=float(np.mean([len(call.tree) for call in calls])),
        tokens_per_second=tokens_per_second(run.timed, run.drafter),
        plain_tokens_per_second=max(plain.values()),
        plain_decoders=plain,
        speed_up=speed_up(run.timed, run.drafter, PLAIN_DECODERS),
        looping_share=sum(looping_tokens(item.generation.token_ids) for item in run.decoded) / tokens,
        branching_calls=sum(call.has_branch for call in calls),
        divergences_near_tie=None if run.divergences is None else run.divergences.near_tie,
        divergences_other=None if run.divergences is None else run.divergences.other,
        seconds_by_phase=_seconds_by_phase(calls),
        acceptance=acceptance_by_depth(calls),
    )


def acceptance_by_depth(calls: Sequence[CallTrace]) -> tuple[DepthAcceptance, ...]:
    """One entry for each depth at which some call had a draft to accept."""
    offered: list[int] = []
    accepted: list[int] = []
    for call in calls:
        reached = len(call.path) - 1
        goes_on = len(call.tree.children(int(call.path[-1]))) > 0
        for depth in range(1, reached + goes_on + 1):
            if depth > len(offered):
                offered.append(0)
                accepted.append(0)
            offered[depth - 1] += 1
            accepted[depth - 1] += depth <= reached
    return tuple(
        DepthAcceptance(depth, of_depth, kept)
        for depth, (of_depth, kept) in enumerate(zip(offered, accepted, strict=True), 1)
    )


def _seconds_by_phase(calls: Sequence[CallTrace]) -> PhaseSeconds:
    return PhaseSeconds(
        draft=sum(call.seconds.draft for call in calls),
        target=sum(call.seconds.target for call in calls),
        verify=sum(call.seconds.verify for call in calls),
        commit=sum(call.seconds.commit for call in calls),
    )


def totals_by_prompt(run: DrafterRun, against: str, limits: Sequence[float | None]) -> list[PromptTotals]:
    """A row for each prompt of a run, all its turns together.

    against: the plain decoder that its speed is compared with. limits: [decoded] sum over the call starts of
    the best tree's expected tokens, or None.
    """
    rows: list[PromptTotals] = []
    for name in dict.fromkeys(item.prompt.prompt_id for item in run.decoded):
        own = [place for place, item in enumerate(run.decoded) if item.prompt.prompt_id == name]
        texts = [run.decoded[place].generation for place in own]
        known = [limit for place in own if (limit := limits[place]) is not None]
        ratios = [
            ratio
            for item in run.timed
            if item.prompt_id == name
            for ratio in log_speed_ups(item, run.drafter, against)
        ]
        rows.append(
            PromptTotals(
                prompt_id=name,
                family=run.decoded[own[0]].prompt.family,
                temperature=run.temperature,
                drafter=run.drafter,
                rule=run.rule,
                node_budget=run.node_budget,
                tokens=sum(len(text.token_ids) for text in texts),
                calls=sum(len(text.calls) for text in texts),
                expected_tokens=sum(call.expected_tokens for text in texts for call in text.calls),
                limit_tokens=sum(known) if len(known) == len(own) else None,
                log_speed_up=mean_over([name] * len(ratios), ratios).value,
            )
        )
    return rows
