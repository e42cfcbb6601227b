"""How much of profiling a target, and of searching its best trees, is the target's forward pass.

Claim, for the default target and the shipped prompts: at least 90% of the time. So texts are sampled with at
least 90% of the tokens per second that the bare batched pass has in the same batches, and trees are searched
likewise. The rest is laws, draws, statistics and files. Prints a table for people, then one line of JSON.

    python benchmarks/bench_sampling.py [--prompts 32] [--tokens 128] [--contexts 6] [--nodes 32]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile_run import run_profile
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load

CLAIM = 0.9


class ForwardClock:
    """Adds up the seconds spent inside the model's own forward passes, and the tokens they read."""

    def __init__(self, target: CausalLM) -> None:
        self.seconds, self.rows = 0.0, 0
        self._started = 0.0
        target.model.register_forward_pre_hook(self._start)
        target.model.register_forward_hook(self._stop)

    def _start(self, *given: object) -> None:
        self._started = time.perf_counter()

    def _stop(self, module: object, arguments: object, output: CausalLMOutputWithPast) -> None:
        self.seconds += time.perf_counter() - self._started
        assert output.logits is not None
        self.rows += output.logits.shape[0] * output.logits.shape[1]

    def measure(self, name: str, work: Callable[[], object]) -> dict[str, float]:
        """Do the work and say how much of it was spent in the model."""
        seconds, rows, started = self.seconds, self.rows, time.perf_counter()
        work()
        total, inside = time.perf_counter() - started, self.seconds - seconds
        laws = self.rows - rows
        share = inside / total
        print(
            f"{name:12}{total:10.1f}{inside:10.1f}{share:9.1%}{1000 * (total - inside) / laws:20.2f}",
            flush=True,
        )
        return {"seconds": total, "forward_seconds": inside, "forward_share": share, "laws": laws}


def main() -> None:
    parser = argparse.ArgumentParser(description="The forward pass as a share of profiling and searching.")
    parser.add_argument("--prompts", type=int, default=32, help="prompts, spread over families (default: 32)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each text (default: 128)")
    parser.add_argument("--contexts", type=int, default=6, help="searches in each family (default: 6)")
    parser.add_argument("--nodes", type=int, default=32, help="nodes of the oracle's trees (default: 32)")
    options = parser.parse_args()
    target, shipped = load(), shipped_prompts()
    prompts = tuple(shipped[place * len(shipped) // options.prompts] for place in range(options.prompts))
    clock = ForwardClock(target)
    print(f"{'work':12}{'seconds':>10}{'forward':>10}{'share':>9}{'rest, ms per law':>20}")
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = ProfileSettings(max_tokens=options.tokens)
        place = Path(folder)
        results["profile"] = clock.measure(
            "profile", lambda: run_profile(target, prompts, settings, place / "profile")
        )
        profile = run_profile(target, prompts, settings, place / "profile")
        search = OracleSettings(options.contexts, options.nodes)
        results["oracle"] = clock.measure(
            "oracle", lambda: run_oracle(target, profile, search, place / "oracle")
        )
    shares = ", ".join(f"{name} {result['forward_share']:.1%}" for name, result in results.items())
    print(f"in the forward pass: {shares}; claimed {CLAIM:.0%} at least")
    document = {
        "schema": 1,
        "benchmark": "sampling",
        "target": target.name,
        "threads": torch.get_num_threads(),
        "claim": CLAIM,
        "within_claim": {name: result["forward_share"] >= CLAIM for name, result in results.items()},
        "results": results,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
