"""Seconds in which every configuration of a trace of 10,000 starts is scored.

The trace is of a planted source with two drafters, 15 growths of up to 64 nodes each; nothing is read from
disk. Compiling of loops, once for each process, is counted. Goal: at least 1,000 configurations in below 60 s
on two cores. Prints a table, then one JSON line.

    python benchmarks/bench_score.py
"""

import json
import time
from dataclasses import replace

import numpy as np

from speclight.advice.planted import DRAFTER, random_pair
from speclight.advice.score import score

PROMPTS, WINDOWS, WINDOW = 125, 5, 16  # 10,000 starts
NODE_BUDGETS = (4, 8, 16, 32, 64)
GROWTHS = (
    "best_first",
    "eagle2",
    *(f"eagle2={depth},{width},{width}" for depth in (2, 4, 8) for width in (2, 4, 8)),
    "threshold=0.02",
    "threshold=0.1",
    "chain",
    "batch",
)
GOAL_SECONDS, GOAL_CONFIGURATIONS = 60.0, 1000


def main() -> None:
    rng = np.random.default_rng(0)
    pair = random_pair(24, 12, 0.8, rng)
    starts = [
        replace(start, drafters={"first": start.drafters[DRAFTER], "second": start.drafters[DRAFTER]})
        for start in pair.starts(PROMPTS, WINDOWS, WINDOW, GROWTHS, NODE_BUDGETS, rng)
    ]
    nodes = float(np.mean([len(start.drafters["first"].tree) for start in starts]))
    begin = time.perf_counter()
    score(starts, "target_sample")
    compiled = time.perf_counter()
    scores = score(starts, "target_sample")
    seconds = [compiled - begin, time.perf_counter() - compiled]
    print(f"{len(starts)} starts, 2 drafters with {nodes:.0f} nodes each at a start")
    print(f"{len(scores)} configurations: {seconds[0]:.1f} s, {seconds[1]:.1f} s once compiled")
    result = {
        "schema": 1,
        "starts": len(starts),
        "nodes_per_start_and_drafter": nodes,
        "configurations": len(scores),
        "goal_configurations": GOAL_CONFIGURATIONS,
        "goal_seconds": GOAL_SECONDS,
        "seconds": seconds[0],
        "seconds_once_compiled": seconds[1],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
