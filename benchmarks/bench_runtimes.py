"""The default target's call in other runtimes: is there a faster one for float32 weights on this machine?

Our kernels (eager, fast, compiled) beside the same step in plain torch, with linear layers packed once for
oneDNN, by torch.compile with frozen weights (--compile; minutes), by ONNX Runtime and by OpenVINO; one that
is not installed is shown as missing (pip install onnx onnxscript onnxruntime openvino). Calls of P positions
after 256 tokens of context, all in one run: every runtime in a process of its own, since each brings its own
threads and its own copy of the weights, in rounds that take turns. Logits are compared with the eager ones.

What decides: a runtime of well-kept make whose T(1) or T(8) is at most 0.85 of ours would be taken.

    python benchmarks/bench_runtimes.py [--rounds 2] [--calls 7] [--threads 2] [--compile]

Prints a table for people, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import cast, get_args

import torch

import runtimes
from speclight.cli.threads import set_waiting
from speclight.models.kernels import Kernels, KernelsInUse
from speclight.models.load import load
from speclight.models.visibility import causal

CONTEXT, SIZES = 256, (1, 2, 4, 8, 16)
OURS = tuple(name for name in get_args(KernelsInUse) if name != "graphs")  # those of a CPU
CLAIM = 0.85


def measure(name: str, calls: int) -> dict[str, object]:
    """Seconds of calls by P, and the logits at the last position of the largest: one runtime."""
    generator = torch.Generator().manual_seed(0)
    context = torch.randint(1000, 40000, (CONTEXT,), generator=generator).tolist()
    tokens = torch.randint(1000, 40000, (max(SIZES),), generator=generator)
    began = time.perf_counter()
    target = load(kernels=cast(Kernels, name) if name in OURS else "eager")
    if name in OURS:
        cache = target.new_cache()
        target.prefill(cache, context)

        def call(rows: int) -> torch.Tensor:
            positions = torch.arange(CONTEXT, CONTEXT + rows)[None]
            made = target.forward(cache, tokens[None, :rows], positions, causal(rows, CONTEXT)[None])
            cache.keep([])
            return made.logits[0]
    else:
        given = {rows: runtimes.inputs_after(target, context, tokens[:rows]) for rows in SIZES}
        run = runtimes.OTHERS[name][0](target, given[max(SIZES)])

        def call(rows: int) -> torch.Tensor:
            return run(given[rows])

    seconds: dict[int, list[float]] = {}
    with torch.inference_mode():
        logits = call(max(SIZES))[-1]
        ready = time.perf_counter() - began
        for rows in SIZES:
            for number in range(calls + 1):
                started = time.perf_counter()
                call(rows)
                if number:
                    seconds.setdefault(rows, []).append(time.perf_counter() - started)
    return {"seconds": seconds, "ready_seconds": ready, "logits": logits.float().tolist()[:2000]}


def measured(name: str, calls: int, threads: int) -> dict[str, object] | str:
    """`measure` in a process of its own; what it said last where it failed."""
    command = [sys.executable, __file__, "--only", name, "--calls", str(calls), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="The target's call in other runtimes.")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each runtime (default: 2)")
    parser.add_argument("--calls", type=int, default=7, help="calls of each size in one (default: 7)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="torch.compile too (minutes)")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only is not None:
        print(json.dumps(measure(options.only, options.calls)))
        return
    names = [name for name in (*OURS, *runtimes.OTHERS) if options.compile or name != "torch.compile"]
    results: dict[str, list[dict[str, object]]] = {}
    lacking = {name: found for name in names if name not in OURS and (found := runtimes.missing(name))}
    for number in range(options.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            if name in lacking:
                continue
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
            found = measured(name, options.calls, options.threads)
            if isinstance(found, str):
                lacking[name] = [found]
            else:
                results.setdefault(name, []).append(found)
    rows = [row(name, results[name], results["eager"][0]) for name in names if name in results]
    show(rows, lacking)
    document = {"schema": 1, "benchmark": "runtimes", "threads": options.threads, "rows": rows}
    print(json.dumps({**document, "missing": lacking}))


def row(name: str, runs: list[dict[str, object]], eager: dict[str, object]) -> dict[str, object]:
    """Medians over all calls of all processes, and the largest difference of logits from the eager ones."""
    medians = {}
    for rows in SIZES:
        taken = [second for run in runs for second in cast(dict[str, list[float]], run["seconds"])[str(rows)]]
        medians[rows] = statistics.median(taken)
    pairs = zip(cast(list[float], runs[0]["logits"]), cast(list[float], eager["logits"]), strict=True)
    return {
        "runtime": name,
        "median_seconds": medians,
        "ready_seconds": runs[0]["ready_seconds"],
        "largest_error": max(abs(made - expected) for made, expected in pairs),
    }


def show(rows: list[dict[str, object]], lacking: dict[str, list[str]]) -> None:
    print(f"{'ms of a call':16}" + "".join(f"{f'P = {size}':>9}" for size in SIZES) + "  ready, s     error")
    for each in rows:
        medians = cast(dict[int, float], each["median_seconds"])
        cells = "".join(f"{1000 * medians[size]:9.1f}" for size in SIZES)
        print(f"{each['runtime']:16}{cells}{each['ready_seconds']:10.1f}{each['largest_error']:10.0e}")
    for name, reasons in lacking.items():
        print(f"{name:16}  missing: {', '.join(reasons)}")
    by_name = {str(each["runtime"]): cast(dict[int, float], each["median_seconds"]) for each in rows}
    ours = by_name.get("compiled", by_name.get("fast", by_name["eager"]))
    for size in (1, 8):
        name = min((one for one in by_name if one not in OURS), key=lambda one: by_name[one][size])
        ratio = by_name[name][size] / ours[size]
        print(f"best other at P = {size}: {name}, {ratio:.2f} of ours (taken at {CLAIM} or less)")


if __name__ == "__main__":
    set_waiting()
    main()
