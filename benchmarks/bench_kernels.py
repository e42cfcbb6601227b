"""What a target call of P positions costs: Transformers' own pass and the kernels that a target can have.

Claims, for the default target after 256 tokens of context, in the same run: T(1) of the best kernels that can
be had here is at most 0.85 of the eager T(1), T(8) at most 0.65 of the eager T(8) and at most 1.5 T(1).
Other runtimes are compared by bench_runtimes.py. Every round runs each way once, in turn, so that a busy
moment hits all of them. Logits are compared with the eager ones.

    python benchmarks/bench_kernels.py [--busy 0] [--rounds 11] [--threads 2]

--busy: other processes that keep a core each busy meanwhile. Prints a table for people, then a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import torch

from busy_neighbours import busy_neighbours
from speclight.models.causal_lm import CausalLM
from speclight.models.kernels import Kernels
from speclight.models.load import load
from speclight.models.visibility import causal

CONTEXT = 256
ROWS = (1, 2, 4, 8, 16, 64)
WAYS: tuple[Kernels, ...] = ("eager", "fast", "compiled")


def measure(targets: dict[str, CausalLM], rows: int, rounds: int) -> dict[str, object]:
    """Seconds of `rounds` calls each way, and how far the logits are from the eager ones."""
    generator = torch.Generator().manual_seed(0)
    context = torch.randint(1000, 40000, (CONTEXT,), generator=generator).tolist()
    tokens = torch.randint(1000, 40000, (1, rows), generator=generator)
    positions, visible = torch.arange(CONTEXT, CONTEXT + rows)[None], causal(rows, CONTEXT)[None]
    caches = {name: target.new_cache() for name, target in targets.items()}
    for name, target in targets.items():
        target.prefill(caches[name], context)
    seconds: dict[str, list[float]] = {name: [] for name in targets}
    logits: dict[str, torch.Tensor] = {}
    for round_number in range(rounds + 1):
        for name, target in targets.items():
            # In a decode a call follows another with the same weights: so here too, and the second is timed.
            started = 0.0
            for _ in range(2):
                caches[name].keep([])
                started = time.perf_counter()
                logits[name] = target.forward(caches[name], tokens, positions, visible).logits
            if round_number:  # the first one warms up
                seconds[name].append(time.perf_counter() - started)
            caches[name].keep([])
    errors = {name: float((given - logits["eager"]).abs().max()) for name, given in logits.items()}
    return {"seconds": seconds, "largest_error": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds of a target call of P positions.")
    parser.add_argument("--busy", type=int, default=0, help="busy processes beside (default: 0)")
    parser.add_argument("--rounds", type=int, default=11, help="calls of each kind (default: 11)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch decides)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    targets = {way: load(kernels=way) for way in WAYS}
    taken = next(way for way in reversed(WAYS) if targets[way].kernels == way)
    results: dict[int, dict[str, object]] = {}
    print("median milliseconds of a call (quarters), and the largest difference of logits from eager")
    print("   P" + "".join(f"{name:>24}" for name in targets))
    with busy_neighbours(options.busy):
        for rows in ROWS:
            result = results[rows] = measure(targets, rows, options.rounds)
            print(f"{rows:4}" + "".join(cell(result, name) for name in targets), flush=True)
    claims = ratios(results, taken)
    for claim, (ratio, bound) in claims.items():
        print(f"{claim}: {ratio:.2f}, claimed {bound} at most")
    document = {
        "schema": 1,
        "benchmark": "kernels",
        "target": next(iter(targets.values())).name,
        "kernels": taken,
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "spin_count": os.environ.get("GOMP_SPINCOUNT"),
        "busy": options.busy,
        "results": results,
        "claims": {name: {"ratio": ratio, "at_most": bound} for name, (ratio, bound) in claims.items()},
    }
    print(json.dumps(document))


def cell(result: dict[str, object], name: str) -> str:
    seconds, errors = result["seconds"], result["largest_error"]
    assert isinstance(seconds, dict)
    assert isinstance(errors, dict)
    low, middle, high = (1000 * value for value in statistics.quantiles(seconds[name], n=4))
    return f"{f'{middle:.0f} ({low:.0f}-{high:.0f}) {errors[name]:.0e}':>24}"


def ratios(results: dict[int, dict[str, object]], ours: str) -> dict[str, tuple[float, float]]:
    def median(rows: int, name: str) -> float:
        seconds = results[rows]["seconds"]
        assert isinstance(seconds, dict)
        return statistics.median(seconds[name])

    return {
        f"{ours} T(1) over eager T(1)": (median(1, ours) / median(1, "eager"), 0.85),
        f"{ours} T(8) over eager T(8)": (median(8, ours) / median(8, "eager"), 0.65),
        f"{ours} T(8) over {ours} T(1)": (median(8, ours) / median(1, ours), 1.5),
    }


if __name__ == "__main__":
    main()
