"""What is recorded of a drafter's run: acceptance by depth, time by phase, totals by prompt, its limit."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from types import SimpleNamespace

import numpy as np
import pytest

from speclight.decoding.settings import DecodeSettings
from speclight.experiments.demo.call_starts import call_start_limit
from speclight.experiments.demo.decode_limits import scored_texts
from speclight.experiments.demo.drafter_run import (
    DrafterRun,
    acceptance_by_depth,
    summary_of,
    together,
    totals_by_prompt,
)
from speclight.experiments.demo.record import ALL_FAMILIES, DepthAcceptance
from speclight.experiments.demo.waterfall import speed_losses
from speclight.measure.decoded_run.call_starts import search_call_starts
from speclight.measure.decoded_run.decoding import OWN_LOOP, Divergences
from speclight.measure.decoded_run.timing import time_in_turn
from speclight.measure.estimates import ratio_of_totals
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings
from speclight.progress import silent
from speclight.trees.draft_tree import DraftTree
from toys import tiny_target

SETTINGS = DecodeSettings(
    node_budget=5, max_tokens=14, seed=3, sampling=SamplingSettings(1.0), record_target_log_probs=True
)
FAMILIES = {
    name: [Prompt(f"{name}-{n}", name, (f"t{n} t2 t{n} t2 t{n} t2",)) for n in (1, 2)]
    for name in ("code", "qa")
}


@pytest.fixture(scope="module")
def target():
    return tiny_target(6, seed=2, layers=1)


@pytest.fixture(scope="module")
def runs(target):
    found = {
        family: time_in_turn(target, prompts, ("ngram",), "target_sample", SETTINGS, rounds=2)
        for family, prompts in FAMILIES.items()
    }
    return [
        DrafterRun(
            family,
            SETTINGS,
            "ngram",
            "target_sample",
            tuple(timed.decoded["ngram"]),
            tuple(timed.decoded[OWN_LOOP]),
            timed.timed,
            Divergences(near_tie=number, other=0),
        )
        for number, (family, timed) in enumerate(found.items())
    ]


def a_call(parents: list[int], path: list[int]) -> SimpleNamespace:
    tree = DraftTree(np.arange(len(parents)), np.array(parents), np.zeros(len(parents)))
    return SimpleNamespace(tree=tree, path=np.array(path))


def test_acceptance_counts_what_could_be_accepted():
    calls = [
        a_call([-1, 0, 1, 2], [0, 1, 2]),  # two of a chain of three: the third was offered
        a_call([-1, 0, 0, 2], [0, 1]),  # one; its other branch goes on, the accepted one does not
        a_call([-1, 0, 1], [0]),  # none of two
        a_call([-1], [0]),  # nothing drafted
    ]
    assert acceptance_by_depth(calls) == (
        DepthAcceptance(1, 3, 2),
        DepthAcceptance(2, 1, 1),
        DepthAcceptance(3, 1, 0),
    )
    assert acceptance_by_depth([a_call([-1], [0])]) == ()


def test_accepted_drafts_and_one_are_the_tokens_emitted(runs):
    """Where no limit of length cuts the last call: accepted drafts over all depths + calls = tokens."""
    (overall,) = together(runs)
    summary = summary_of(overall)
    cut = sum(len(call.path) - call.tokens_emitted for call in overall.calls)
    accepted = sum(depth.accepted for depth in summary.acceptance)
    assert summary.acceptance[0].accepted > 0
    assert accepted + summary.calls - cut == summary.tokens


def test_phases_add_up_to_the_time_of_the_calls(runs):
    summary = summary_of(runs[0])
    seconds = sum(item.generation.seconds for item in runs[0].decoded)
    assert summary.seconds_by_phase.total == pytest.approx(seconds, rel=1e-9)
    assert min(summary.seconds_by_phase.draft, summary.seconds_by_phase.target) > 0.0


def test_runs_together_are_all_prompts_of_a_setting(runs):
    hot = replace(runs[0], settings=replace(SETTINGS, sampling=SamplingSettings(0.5)), divergences=None)
    found = together([*runs, hot])
    assert [(run.family, run.temperature) for run in found] == [(ALL_FAMILIES, 1.0), (ALL_FAMILIES, 0.5)]
    assert [item.prompt.prompt_id for item in found[0].decoded] == ["code-1", "code-2", "qa-1", "qa-2"]
    assert found[0].divergences == Divergences(near_tie=1, other=0)
    assert found[1].divergences is None
    parts = [summary_of(run) for run in runs]
    whole = summary_of(found[0])
    assert (whole.tokens, whole.calls) == (sum(p.tokens for p in parts), sum(p.calls for p in parts))
    assert whole.tokens_per_call.clusters == 4


def test_totals_by_prompt_give_the_summary_again(runs):
    (overall,) = together(runs)
    summary = summary_of(overall)
    against = summary.speed_up.against
    rows = totals_by_prompt(overall, against, [None, 2.0, None, None])
    assert [row.limit_tokens for row in rows] == [None, 2.0, None, None]
    assert sum(row.tokens for row in rows) / sum(row.calls for row in rows) == summary.tokens_per_call.value
    mean = sum(row.log_speed_up for row in rows) / len(rows)
    assert exp(mean) == pytest.approx(summary.speed_up.estimate.value, rel=1e-12)
    assert {row.family for row in rows} == set(FAMILIES)


def test_the_oracle_is_never_behind_the_drafter_at_its_own_starts(target, runs):
    (overall,) = together(runs)
    searched = search_call_starts(target, overall.decoded, 5, SamplingSettings(1.0), silent)
    for item in searched:
        drafted = [call.expected_tokens for call in item.decoded.generation.calls]
        assert all(limit >= own - 1e-6 for limit, own in zip(item.limits, drafted, strict=True))
    whole = call_start_limit(ALL_FAMILIES, searched, 5)
    parts = [call_start_limit(family, searched, 5) for family in FAMILIES]
    assert whole.starts == sum(part.starts for part in parts) == len(overall.calls)
    total = sum(part.starts * part.limit_tokens_per_call.value for part in parts)
    assert whole.limit_tokens_per_call.value == pytest.approx(total / whole.starts)
    share = ratio_of_totals(
        ["one"], [whole.expected_tokens_per_call.value], [whole.limit_tokens_per_call.value]
    ).value
    assert whole.share_of_limit.value == pytest.approx(share)


def test_the_waterfall_starts_at_the_limit_and_ends_at_the_measured_speed(target, runs):
    (run,) = together(runs)
    searched = search_call_starts(target, run.decoded, SETTINGS.node_budget, SETTINGS.sampling, silent)
    losses = speed_losses(target, run, searched, scored_texts(target, run))
    found, limit = losses.waterfall, call_start_limit(ALL_FAMILIES, searched, SETTINGS.node_budget)
    assert found.means.oracle == pytest.approx(limit.limit_tokens_per_call.value)
    assert found.means.tree == pytest.approx(limit.expected_tokens_per_call.value)
    assert found.of("knowledge").value.value == pytest.approx(limit.share_of_limit.value)
    first = {
        name: sum(len(item.generation.token_ids) for item in items)
        / sum(item.generation.seconds for item in items)
        for name, items in (("drafted", run.decoded), ("plain", run.plain))
    }
    assert found.tokens_per_second == pytest.approx(first["drafted"])
    assert found.speed_up.value == pytest.approx(first["drafted"] / first["plain"])
    assert (losses.setup.node_budget, losses.setup.drafter) == (SETTINGS.node_budget, "ngram")
