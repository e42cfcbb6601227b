"""`auto` beside plain decoding and beside every fixed budget: what it gains, and what it loses in hindsight.

Every prompt is decoded by all of them in one run, call by call in turn, with the shipped head as drafter;
families are those of the shipped prompts, and prompts of random tokens, where nothing can be guessed. A
family's ratio is its tokens per second over those of our plain loop. Regret, the last column, is the time
that `auto` took over that of the best fixed budget of each prompt, P = 1 included, chosen in hindsight, less
one. Claim: `auto` is nowhere slower than plain decoding by more than 3%. Prints a table for people, then one
line of JSON. Takes
about six minutes at 15 plain tokens per second; prompts of a family, and --rounds, multiply that.

    python benchmarks/bench_auto.py [--prompts 1] [--tokens 64] [--rounds 1] [--temperatures 0 1]
        [--budgets 2 4 8 16]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import decode
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.noise_streams import TextNoise
from speclight.decoding.settings import AUTO, Auto, DecodeSettings
from speclight.measure.paired_times import TimedPrompt, TimedRun, speed_up, tokens_per_second
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES

RULE = RULES["target_sample"]
FIXED = (2, 4, 8, 16)
RANDOM_TOKENS = 48
CLAIM = 0.97


def decoded_in_turn(
    target: CausalLM,
    ids: list[int],
    budgets: Sequence[int | Auto],
    temperature: float,
    tokens: int,
    seed: int,
) -> dict[str, TimedRun]:
    """One text decoded with every budget, by name: the one with the fewest tokens is always a call further.

    So what slows the machine for a while meets all of them. They draw with the same noise, so that all texts
    are one.
    """
    sampling = SamplingSettings(temperature)
    calls: dict[str, Iterator[CallTrace]] = {}
    for budget in budgets:
        drafter = drafter_for(target, "none" if budget == 1 else "eagle3", RULE, sampling)
        settings = DecodeSettings(budget, tokens, seed=seed, sampling=sampling)
        calls[str(budget)] = decode(target, drafter, RULE, ids, settings, TextNoise(seed))
    emitted, seconds = dict.fromkeys(calls, 0), dict.fromkeys(calls, 0.0)
    running = dict(calls)
    while running:
        name = min(running, key=lambda one: emitted[one])
        began = time.perf_counter()
        trace = next(running[name], None)
        spent = time.perf_counter() - began
        if trace is None:
            del running[name]
            continue
        emitted[name] += trace.tokens_emitted
        seconds[name] += spent - trace.prefill_seconds
    return {name: TimedRun(emitted[name], seconds[name]) for name in calls}


def prompts_by_family(target: CausalLM, count: int) -> dict[str, list[list[int]]]:
    shipped = shipped_prompts()
    families = dict.fromkeys(prompt.family for prompt in shipped)
    chosen = {
        family: [
            prompt_token_ids(target, prompt.turns[0])
            for prompt in [one for one in shipped if one.family == family][-count:]
        ]
        for family in families
    }
    rng = np.random.default_rng(0)
    ends = target.end_of_text
    kept = [token for token in range(target.vocabulary_size) if token not in ends]
    return chosen | {"random tokens": [rng.choice(kept, RANDOM_TOKENS).tolist() for _ in range(count)]}


def row_of(
    family: str, temperature: float, timed: Sequence[TimedPrompt], budgets: Sequence[int | Auto]
) -> dict[str, object]:
    names = [str(budget) for budget in budgets]
    rates = {name: tokens_per_second(timed, name) for name in names}
    seconds = [{name: total_seconds(prompt, name) for name in names} for prompt in timed]
    best = sum(min(taken[name] for name in names if name != AUTO) for taken in seconds)
    ratio = speed_up(timed, AUTO, ["1"])
    return {
        "family": family,
        "temperature": temperature,
        "plain_tokens_per_second": rates["1"],
        "ratios": {name: rates[name] / rates["1"] for name in names},
        "auto_interval": [ratio.estimate.low, ratio.estimate.high],
        "regret": sum(taken[AUTO] for taken in seconds) / best - 1.0,
    }


def total_seconds(prompt: TimedPrompt, name: str) -> float:
    """Seconds per token of all rounds: texts of one prompt may differ in length between budgets."""
    runs: list[Mapping[str, TimedRun]] = list(prompt.rounds)
    return sum(timed[name].seconds for timed in runs) / sum(timed[name].tokens for timed in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Budget auto beside plain decoding and fixed budgets.")
    parser.add_argument("--prompts", type=int, default=1, help="of each family (default: 1)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each text (default: 64)")
    parser.add_argument("--rounds", type=int, default=1, help="times each prompt is decoded (default: 1)")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument(
        "--budgets", type=int, nargs="*", default=FIXED, help="fixed ones (default: 2 4 8 16)"
    )
    options = parser.parse_args()
    budgets: tuple[int | Auto, ...] = (1, *options.budgets, AUTO)
    target = load()
    families = prompts_by_family(target, options.prompts)
    decoded_in_turn(target, next(iter(families.values()))[0], budgets, 0.0, 8, 0)  # first calls take longer
    print(f"{'family':16}{'T':>4}{'plain tok/s':>13}" + "".join(f"{f'P={name}':>8}" for name in budgets[1:]))
    rows: list[dict[str, object]] = []
    least: dict[str, float] = {}
    for temperature in options.temperatures:
        for family, prompts in families.items():
            timed: list[TimedPrompt] = []
            for number, ids in enumerate(prompts):
                rounds = tuple(
                    decoded_in_turn(target, ids, budgets, temperature, options.tokens, 100 * number + round)
                    for round in range(options.rounds)
                )
                timed.append(TimedPrompt(f"{family}-{number}", rounds))
            row = row_of(family, temperature, timed, budgets)
            rows.append(row)
            ratios = row["ratios"]
            assert isinstance(ratios, dict)
            shown = "".join(f"{ratios[str(name)]:8.2f}" for name in budgets[1:])
            plain = row["plain_tokens_per_second"]
            print(f"{family:16}{temperature:4g}{plain:13.1f}{shown}   {row['regret']:+.1%}", flush=True)
            least[f"{family} at temperature {temperature:g}"] = float(ratios[AUTO])
    worst = min(least, key=lambda name: least[name])
    print(f"least of auto over plain: {least[worst]:.2f}, {worst}; claimed {CLAIM} at least everywhere")
    document = {"schema": 1, "benchmark": "auto", "threads": torch.get_num_threads()}
    print(
        json.dumps(
            document | {"kernels": target.kernels, "claim": CLAIM, "least_ratio": least[worst], "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
