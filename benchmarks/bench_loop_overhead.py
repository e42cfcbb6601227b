"""How much of a call's time is not the target's forward pass, by the trace's phases and by the profiler.

Claim: below 5% at P = 8 on the default target with the n-gram drafter at plain temperature. Phases: draft,
verify and commit over all phases. Since the phase "target" holds more than the model (mask, NaN check), the
model's own forward is timed too, and everything else counted as overhead in the second figure. The third is
the first one again, from a second run under cProfile instead of the trace's clocks; it slows down whatever
calls many Python functions, so the two agree only so far. Prints a table for people, then one line of JSON.

    python benchmarks/bench_loop_overhead.py [--tokens 48] [--prompts 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import time
from types import CodeType

import torch

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import decode_batch
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import score_together
from speclight.verification.rules import RULES

CLAIM = 0.05
NODE_BUDGET = 8
CASES: dict[str, DecodeSettings] = {
    "temperature 1": DecodeSettings(),
    "temperature 0": DecodeSettings(sampling=SamplingSettings(0.0)),
    "temperature 1, top-k 50": DecodeSettings(sampling=SamplingSettings(1.0, top_k=50)),
    "temperature 1, top-p 0.9": DecodeSettings(sampling=SamplingSettings(1.0, top_p=0.9)),
    "temperature 1, repetition penalty 1.2": DecodeSettings(repetition_penalty=1.2),
}


class ForwardClock:
    """Adds up the seconds spent inside the model's own forward passes."""

    def __init__(self, target: CausalLM) -> None:
        self.seconds = 0.0
        self.readings: list[float] = []
        self._started = 0.0
        target.model.register_forward_pre_hook(self._start)
        target.model.register_forward_hook(self._stop)

    def read(self, call: CallTrace) -> None:
        """Note the seconds up to the end of this call."""
        self.readings.append(self.seconds)

    def _start(self, *given: object) -> None:
        self._started = time.perf_counter()

    def _stop(self, *given: object) -> None:
        self.seconds += time.perf_counter() - self._started


class CallProfiler:
    """Seconds of whole calls and of scoring trees, as the profiler adds them up over a run."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile()

    def start(self, call: CallTrace) -> None:
        """After the first call of a text: from here on."""
        self._profile.enable()

    def stop(self) -> None:
        """At the end of a text."""
        self._profile.disable()

    def overhead(self) -> float:
        """The share of calls that is not spent scoring trees."""
        seconds = {
            entry.code: entry.totaltime
            for entry in self._profile.getstats()
            if isinstance(entry.code, CodeType)
        }
        return 1.0 - seconds[score_together.__code__] / seconds[decode_batch.__code__]


def profiled_overhead(target: CausalLM, prompts: list[list[int]], settings: DecodeSettings) -> float:
    """Everything but the target's phase as a share of all calls but the first of each text, by cProfile."""
    rule, profiler = RULES["target_sample"], CallProfiler()
    for prompt_ids in prompts:
        drafter = drafter_for(target, "ngram", rule, settings.sampling)
        generate_from_ids(target, prompt_ids, drafter, rule, settings, profiler.start)
        profiler.stop()
    return profiler.overhead()


def measure(
    target: CausalLM, prompts: list[list[int]], case: DecodeSettings, tokens: int
) -> dict[str, object]:
    """Phases of all calls together, and the model's share of them."""
    settings = DecodeSettings(
        NODE_BUDGET, tokens, sampling=case.sampling, repetition_penalty=case.repetition_penalty
    )
    by_profiler = profiled_overhead(target, prompts, settings)
    rule, calls, forward = RULES["target_sample"], list[CallTrace](), 0.0
    clock = ForwardClock(target)
    for prompt_ids in prompts:
        drafter = drafter_for(target, "ngram", rule, settings.sampling)
        clock.readings.clear()
        made = generate_from_ids(target, prompt_ids, drafter, rule, settings, clock.read)
        # The first call is left out: it warms caches up and follows the prompt's own pass.
        calls += made.calls[1:]
        forward += clock.readings[-1] - clock.readings[0]
    phases = {
        name: sum(getattr(call.seconds, name) for call in calls)
        for name in ("draft", "target", "verify", "commit")
    }
    total = sum(phases.values())
    return {
        "calls": len(calls),
        "nodes_per_call": sum(len(call.tree) for call in calls) / len(calls),
        "milliseconds_per_call": 1000 * total / len(calls),
        "phases": phases,
        "overhead_outside_target_phase": 1.0 - phases["target"] / total,
        "overhead_outside_forward": 1.0 - forward / total,
        "overhead_by_profiler": by_profiler,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Everything but the target's forward pass, as a share.")
    parser.add_argument("--tokens", type=int, default=48, help="tokens of each text (default: 48)")
    parser.add_argument("--prompts", type=int, default=3, help="prompts, spread over families (default: 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    target = load()
    shipped = shipped_prompts()
    chosen = [shipped[place * len(shipped) // options.prompts] for place in range(options.prompts)]
    prompts = [prompt_token_ids(target, prompt.turns[0]) for prompt in chosen]
    print(
        f"{'case':40}{'ms/call':>9}{'draft':>8}{'verify':>8}{'commit':>8}{'phases':>8}{'forward':>9}{'cProfile':>10}"
    )
    cases: dict[str, dict[str, object]] = {}
    for name, case in CASES.items():
        result = cases[name] = measure(target, prompts, case, options.tokens)
        phases = result["phases"]
        assert isinstance(phases, dict)
        total = sum(phases.values())
        shares = "".join(f"{phases[phase] / total:8.1%}" for phase in ("draft", "verify", "commit"))
        print(
            f"{name:40}{result['milliseconds_per_call']:9.1f}{shares}"
            f"{result['overhead_outside_target_phase']:8.1%}{result['overhead_outside_forward']:9.1%}"
            f"{result['overhead_by_profiler']:10.1%}",
            flush=True,
        )
    overhead = cases["temperature 1"]["overhead_outside_forward"]
    assert isinstance(overhead, float)
    print(f"outside the model's forward pass at temperature 1: {overhead:.1%}, claimed {CLAIM:.0%} at most")
    document = {
        "schema": 1,
        "benchmark": "loop_overhead",
        "target": target.name,
        "node_budget": NODE_BUDGET,
        "threads": options.threads,
        "claim": CLAIM,
        "within_claim": overhead < CLAIM,
        "cases": cases,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
