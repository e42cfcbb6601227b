"""The what-if part of the demo: the machine as measured gives the speeds that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.demo.test_decode_limits import uniform_profile
from speclight.advice.what_if import outcome
from speclight.decoding.settings import DecodeSettings
from speclight.experiments.demo.drafter_run import DrafterRun, summary_of
from speclight.experiments.demo.record import ALL_FAMILIES
from speclight.experiments.demo.what_if import demo_what_if
from speclight.measure.decoded_run.call_starts import search_call_starts
from speclight.measure.decoded_run.decoding import OWN_LOOP
from speclight.measure.decoded_run.timing import time_in_turn
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.paired_times import tokens_per_second
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings
from speclight.progress import silent
from toys import tiny_target

BUDGET = 5
SETTINGS = DecodeSettings(BUDGET, 14, seed=3, sampling=SamplingSettings(1.0), record_target_log_probs=True)


def test_as_measured_it_shows_the_speeds_that_were_measured():
    """Whatever the call timer said, and whatever a call took besides: here the timer is off by far."""
    target = tiny_target(6, seed=2, layers=1)
    prompts = [Prompt(f"code-{n}", "code", (f"t{n} t2 t{n} t2 t{n} t2",)) for n in (1, 2)]
    timed = time_in_turn(target, prompts, ("ngram",), "target_sample", SETTINGS, rounds=2)
    decoded, plain = (tuple(timed.decoded[name]) for name in ("ngram", OWN_LOOP))
    run = DrafterRun(
        ALL_FAMILIES, SETTINGS, "ngram", "target_sample", decoded, plain, timed.timed, divergences=None
    )
    rows = np.array([[1e-4, 2e-4], [1e-4, 3e-4]])
    times = CallTimeCurve(np.array([1, 8]), np.array([5, 50]), rows, rows, rows)
    searched = search_call_starts(target, run.decoded, BUDGET, SETTINGS.sampling, silent)

    found = demo_what_if(uniform_profile(2, 60), times, [run], run, searched)
    (load,) = found.loads
    (way,) = load.drafted
    shown = outcome(load, way, BUDGET, found.call_times[0].seconds, found.plain_loop_seconds)
    measured = summary_of(run).plain_tokens_per_second  # which the headline shows
    assert shown.plain_tokens_per_second == pytest.approx(measured, rel=1e-9)
    tokens = sum(len(item.generation.token_ids) for item in run.decoded)
    calls_per_second = len(run.calls) / tokens * tokens_per_second(run.timed, "ngram")
    assert shown.tokens_per_second.value / shown.tokens.value == pytest.approx(calls_per_second, rel=1e-9)
    product = np.prod([step.factor for step in shown.steps])
    assert product == pytest.approx(shown.speed_up, rel=1e-9)
    assert "up to which its trees are known" in way.start_law
    assert max(calls.node_budget for calls in way.calls) == BUDGET
