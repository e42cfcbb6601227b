"""How threads should wait for each other: calls under several policies, beside 0, 1 and 2 busy processes.

torch's CPU wheels bring GNU's OpenMP, which reads OMP_WAIT_POLICY and GOMP_SPINCOUNT when it is loaded, so
every case is a process of its own. Passive threads sleep at once: waking them costs at every operation.
Spinning ones, where other processes want the cores, spin away the time of the very threads they wait for.
Bounded spinning waits a while, then sleeps; the command line takes this where nothing else runs when it
starts, and sleeping beside other work. Claim: what it chooses is at no load slower than the better one of
"passive" and "torch's default" by more than 10%. A case is measured in two processes, far apart in time;
shown is the median of all its calls, and of each process.

    python benchmarks/bench_wait_policy.py [--rounds 12] [--loads 0,1,2] [--kernels auto]

Prints a table for people, then one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

from busy_neighbours import busy_neighbours
from speclight.cli.threads import others_running, waiting_beside

CHOSEN = "command line"
POLICIES: dict[str, Mapping[str, str]] = {
    "torch's default": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    CHOSEN: {},  # by what else runs when the process starts
}
ROWS = (1, 8)
CLAIM = 1.10
MEASURE = """
import json, sys, time, torch
from speclight.models.load import load
from speclight.models.visibility import causal
rounds, context = int(sys.argv[1]), 64
target = load(kernels=sys.argv[2])
cache = target.new_cache()
target.prefill(cache, list(range(1000, 1000 + context)))
seconds = {rows: [] for rows in map(int, sys.argv[3].split(","))}
for number in range(rounds + 1):
    if number == 1:
        begun = time.perf_counter()
    if number > 2 and time.perf_counter() - begun > 4:  # seconds: where threads trip over each other
        break
    for rows in seconds:
        tokens, positions = torch.arange(rows)[None] + 2000, torch.arange(context, context + rows)[None]
        started = time.perf_counter()
        target.forward(cache, tokens, positions, causal(rows, context)[None])
        seconds[rows].append(time.perf_counter() - started)
        cache.keep([])
print(json.dumps({rows: taken[1:] for rows, taken in seconds.items()}))
"""


def measured(policy: str, rounds: int, kernels: str) -> dict[str, list[float]]:
    """Seconds of calls by their rows, in a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
    }
    beside = waiting_beside(others_running())
    waiting = beside if policy == CHOSEN else POLICIES[policy]
    finished = subprocess.run(
        [sys.executable, "-c", MEASURE, str(rounds), kernels, ",".join(map(str, ROWS))],
        env={**environment, **waiting},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(finished.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Target calls by the threads' way of waiting.")
    parser.add_argument("--rounds", type=int, default=12, help="calls in each process (default: 12)")
    parser.add_argument("--loads", default="0,1,2", help="busy processes beside (default: 0,1,2)")
    parser.add_argument(
        "--kernels", default="auto", help="auto, graphs, compiled, fast or eager (default: auto)"
    )
    options = parser.parse_args()
    print(
        f"{'busy':>4} {'P':>3}" + "".join(f"{policy:>24}" for policy in POLICIES) + "   ratio to the better"
    )
    results: list[dict[str, object]] = []
    for load in map(int, options.loads.split(",")):
        taken: dict[str, list[dict[str, list[float]]]] = {policy: [] for policy in POLICIES}
        with busy_neighbours(load):
            for _ in range(2):
                for policy, processes in taken.items():
                    processes.append(measured(policy, options.rounds, options.kernels))
        for rows in ROWS:
            seconds = {
                policy: [process[str(rows)] for process in processes] for policy, processes in taken.items()
            }
            results.append(row(load, rows, seconds))
    within = [float(str(result["ratio_to_better"])) <= CLAIM for result in results]
    print(f"claimed: {CLAIM} at most; {sum(within)} of {len(within)} rows within it")
    print(
        json.dumps({"schema": 1, "benchmark": "wait_policy", "kernels": options.kernels, "results": results})
    )


def row(load: int, rows: int, seconds: dict[str, list[list[float]]]) -> dict[str, object]:
    """Print one row; medians in seconds, of all calls and of each process."""
    medians = {
        policy: statistics.median(itertools.chain(*processes)) for policy, processes in seconds.items()
    }
    each = {policy: [statistics.median(one) for one in processes] for policy, processes in seconds.items()}
    ratio = medians[CHOSEN] / min(medians["passive"], medians["torch's default"])
    cells = (
        f"{1000 * medians[policy]:.0f} ({', '.join(f'{1000 * one:.0f}' for one in each[policy])})"
        for policy in POLICIES
    )
    print(f"{load:4} {rows:3}" + "".join(f"{cell:>24}" for cell in cells) + f"{ratio:10.2f}", flush=True)
    return {
        "busy": load,
        "rows": rows,
        "median_seconds": medians,
        "median_seconds_of_processes": each,
        "ratio_to_better": ratio,
    }


if __name__ == "__main__":
    main()
