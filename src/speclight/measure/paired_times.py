"""Decoders timed in turn on the same prompts, and which of two is faster, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal, TypeVar

from speclight.measure.estimates import Estimate, geometric_mean

SpeedVerdict = Literal["faster", "slower", "not decided"]
Run = TypeVar("Run")


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One decoding of one prompt: tokens emitted and wall seconds, prefill excluded."""

    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TimedPrompt:
    """One prompt decoded by every decoder in every round. rounds: one mapping of decoder to run each."""

    prompt_id: str
    rounds: tuple[Mapping[str, TimedRun], ...]


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """How many times the tokens per second of plain decoding a drafter gave, paired.

    estimate: geometric mean over prompts and rounds of the ratio of two neighbouring runs, with a 95%
    interval (t quantiles on the logarithm, clustered by prompt). against: the plain decoder, the faster of
    those timed. verdict: "faster" or "slower" if the interval lies on one side of 1; else, and where a single
    prompt allows no interval, "not decided".
    """

    estimate: Estimate
    verdict: SpeedVerdict
    against: str
    rounds: int


def interleaved(
    decoders: Mapping[str, Callable[[], Run]], rounds: int, *, backwards: bool = False
) -> tuple[dict[str, Run], ...]:
    """Run every decoder once per round, one after the other, each round in the order opposite to the last.

    What slows the machine for a while then meets all of them, and a steady drift cancels over two rounds.
    backwards: whether the first round goes from the last decoder to the first.
    """
    timed: list[dict[str, Run]] = []
    for number in range(rounds):
        names = list(decoders)
        if backwards != (number % 2 == 1):
            names.reverse()
        timed.append({name: decoders[name]() for name in names})
    return tuple(timed)


def tokens_per_second(prompts: Sequence[TimedPrompt], decoder: str) -> float:
    """Tokens over seconds of one decoder, totals over totals, all prompts and rounds."""
    runs = [timed[decoder] for prompt in prompts for timed in prompt.rounds]
    return sum(run.tokens for run in runs) / sum(run.seconds for run in runs)


def speed_up(prompts: Sequence[TimedPrompt], decoder: str, plain: Sequence[str]) -> SpeedUp:
    """The speed of a decoder over that of the fastest plain one, from log-ratios within each round."""
    against = max(plain, key=lambda name: tokens_per_second(prompts, name))
    names = [prompt.prompt_id for prompt in prompts for _ in prompt.rounds]
    log_ratios = [ratio for prompt in prompts for ratio in log_speed_ups(prompt, decoder, against)]
    estimate = geometric_mean(names, log_ratios)
    rounds = max(len(prompt.rounds) for prompt in prompts)
    return SpeedUp(estimate, verdict_of(estimate), against, rounds)


def log_speed_ups(prompt: TimedPrompt, decoder: str, against: str) -> list[float]:
    """[rounds] the logarithm of one decoder's speed over another's on one prompt."""
    return [
        _log_seconds_per_token(timed[against]) - _log_seconds_per_token(timed[decoder])
        for timed in prompt.rounds
    ]


def verdict_of(estimate: Estimate) -> SpeedVerdict:
    """On which side of 1 a speed-up's interval lies."""
    if estimate.low is not None and estimate.low > 1.0:
        return "faster"
    if estimate.high is not None and estimate.high < 1.0:
        return "slower"
    return "not decided"


def _log_seconds_per_token(run: TimedRun) -> float:
    return log(run.seconds / run.tokens)
