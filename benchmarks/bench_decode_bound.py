"""Seconds of the decode bound from 100,000 tokens with 200 bootstrap replicas, and of the trace walk.

The first call of each, which compiles its loop, is timed apart. Goal at P = 64: below 20 s. Prints a table,
then one JSON line.

    python benchmarks/bench_decode_bound.py
"""

import json
import time

import numpy as np

from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.trace_walk import trace_walk
from speclight.theory.truth.sources import reference_sources, sample_texts

PROMPTS, TOKENS_PER_PROMPT, REPLICAS = 200, 500, 200
NODE_BUDGETS = (4, 16, 64, 256)
GOAL_SECONDS, GOAL_BUDGET = 20.0, 64
SOURCE = 4  # Dirichlet of concentration 0.05: low entropy, hence long calls


def seconds_of(function, *arguments) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def main() -> None:
    source = reference_sources()[SOURCE]
    texts = sample_texts(source, np.random.default_rng(0).random((PROMPTS, TOKENS_PER_PROMPT, 3)))
    few = texts[:2]
    compiling = seconds_of(decode_bound, few, 4) + seconds_of(trace_walk, few, 4)
    rows = [
        {
            "node_budget": budget,
            "decode_bound_seconds": seconds_of(decode_bound, texts, budget, 1, REPLICAS),
            "trace_walk_seconds": seconds_of(trace_walk, texts, budget),
        }
        for budget in NODE_BUDGETS
    ]
    print(f"compiling: {compiling:.2f} s")
    print(f"{'P':>6}{'decode bound s':>18}{'trace walk s':>16}")
    for row in rows:
        print(
            f"{row['node_budget']:>6}{row['decode_bound_seconds']:>18.3f}{row['trace_walk_seconds']:>16.3f}"
        )
    result = {
        "schema": 1,
        "source": source.name,
        "tokens": PROMPTS * TOKENS_PER_PROMPT,
        "replicas": REPLICAS,
        "goal_seconds": GOAL_SECONDS,
        "goal_budget": GOAL_BUDGET,
        "compiling_seconds": compiling,
        "rows": rows,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
