"""Speeds are compared in pairs; a verdict is given only where the interval allows one. No real clock here."""

from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import stats

from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import TimedPrompt, TimedRun, interleaved, speed_up, tokens_per_second

PLAIN = ("own", "other")


class FakeClock:
    """Seconds that pass only when something says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, tokens: int, seconds: float) -> TimedRun:
        started = self.now
        self.now += seconds
        return TimedRun(tokens, self.now - started)


def timed(speed: float, noise: float, prompts: int = 12, rounds: int = 2, seed: int = 0) -> list[TimedPrompt]:
    """The drafter at `speed` times plain decoding, on a machine that others slow down for a while."""
    clock, rng = FakeClock(), np.random.default_rng(seed)

    def decoder(seconds_per_token: float, tokens: int, slowed: float):
        return lambda: clock.run(
            tokens, tokens * seconds_per_token * slowed * float(np.exp(noise * rng.normal()))
        )

    found = []
    for number in range(prompts):
        slowed = float(np.exp(rng.normal()))  # the same for all that take turns
        decoders = {
            "own": decoder(0.01, 20, slowed),
            "drafter": decoder(0.01 / speed, 23, slowed),
            "other": decoder(0.015, 19, slowed),
        }
        found.append(TimedPrompt(f"p{number}", interleaved(decoders, rounds, backwards=number % 2 == 1)))
    return found


def test_a_drafter_twice_as_fast_is_faster_on_an_uneven_machine():
    found = speed_up(timed(2.0, 0.1, seed=1), "drafter", PLAIN)
    assert (found.verdict, found.against, found.rounds) == ("faster", "own", 2)
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < 2.0 < found.estimate.high
    assert speed_up(timed(0.5, 0.1), "drafter", PLAIN).verdict == "slower"


def test_an_interval_over_one_decides_nothing():
    found = speed_up(timed(1.0, 0.1, seed=1), "drafter", PLAIN)
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < 1.0 < found.estimate.high
    assert found.verdict == "not decided"


def test_equal_speeds_are_rarely_told_apart():
    # 400 runs with no difference: 5% false verdicts expected, 39 or more with probability 4e-5.
    wrong = sum(
        speed_up(timed(1.0, 0.2, seed=seed), "drafter", ("own",)).verdict != "not decided"
        for seed in range(400)
    )
    assert 5 <= wrong < 39


def test_one_prompt_decides_nothing():
    found = speed_up(timed(2.0, 0.0, prompts=1), "drafter", PLAIN)
    assert found.estimate.value == pytest.approx(2.0)
    assert (found.estimate.low, found.verdict) == (None, "not decided")


def test_the_interval_is_that_of_the_log_ratios_of_prompts():
    runs = [[1.0, 2.0], [4.0, 2.0]]  # plain seconds over the drafter's, two rounds of two prompts
    prompts = [
        TimedPrompt(f"p{n}", tuple({"own": TimedRun(1, x), "drafter": TimedRun(1, 1.0)} for x in own))
        for n, own in enumerate(runs)
    ]
    found = speed_up(prompts, "drafter", ("own",)).estimate
    means = np.log(runs).mean(axis=1)
    half = stats.t.ppf(0.975, 1) * means.std(ddof=1) / sqrt(2)
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((exp(log(2.0) - half), exp(log(2.0) + half)))


def test_decoders_take_turns_and_the_order_turns_round():
    order: list[str] = []
    clock = FakeClock()

    def decoder(name: str):
        def run() -> TimedRun:
            order.append(name)
            return clock.run(1, 1.0)

        return run

    decoders = {name: decoder(name) for name in "abc"}
    rounds = interleaved(decoders, 3)
    assert "".join(order) == "abccbaabc"
    order.clear()
    interleaved(decoders, 2, backwards=True)
    assert "".join(order) == "cbaabc"
    assert tokens_per_second([TimedPrompt("p", rounds)], "b") == 1.0


@pytest.mark.parametrize(
    ("before", "after", "threads", "cores", "shared"),
    [
        (0.3, 2.2, 2, 2, False),
        (1.0, 2.2, 2, 2, True),
        (0.0, 3.0, 2, 2, True),
        (1.0, 3.1, 2, 8, False),
        (float("nan"), float("nan"), 2, 2, False),
    ],
)
def test_other_work_is_noticed_where_it_wants_the_same_cores(before, after, threads, cores, shared):
    assert MachineLoad(before, after, threads, cores).is_shared == shared
