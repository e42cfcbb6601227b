"""Nodes per second of the compiled best-first simulator against the plain one, on one core.

Both grow the very same trees from the same noise in the same run, alternating, so their ratio survives a busy
machine; absolute rates do not. Goal: 2 million nodes per second per core. Prints a table, then one JSON line.

    python benchmarks/bench_simulator.py
"""

import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from speclight.theory.truth.simulate import GrownTrees, grow_trees_compiled, grow_trees_plain
from speclight.theory.truth.sources import TokenSource, reference_sources

NODE_BUDGET = 1024
PLAIN_TREES = 4
COMPILED_TREES = 400
REPEATS = 3
GOAL_NODES_PER_SECOND = 2e6


def nodes_per_second(
    grow: Callable[[TokenSource, np.ndarray], GrownTrees], source: TokenSource, noise: np.ndarray
) -> float:
    begin = time.perf_counter()
    grown = grow(source, noise)
    return float((grown.path_probs > 0).sum() / (time.perf_counter() - begin))


def main() -> None:
    rng = np.random.default_rng(0)
    sources = reference_sources()
    begin = time.perf_counter()
    grow_trees_compiled(sources[0], rng.random((1, 2, 2)))
    compile_seconds = time.perf_counter() - begin
    rows = []
    print(f"{'source':<24}{'plain nodes/s':>16}{'compiled nodes/s':>18}{'ratio':>8}")
    for source in sources:
        noise = rng.random((COMPILED_TREES, NODE_BUDGET, 2))
        plain, compiled = [], []
        for _ in range(REPEATS):
            plain.append(nodes_per_second(grow_trees_plain, source, noise[:PLAIN_TREES]))
            compiled.append(nodes_per_second(grow_trees_compiled, source, noise))
        row = {
            "source": source.name,
            "plain_nodes_per_second": statistics.median(plain),
            "compiled_nodes_per_second": statistics.median(compiled),
            "ratio": statistics.median(c / p for c, p in zip(compiled, plain, strict=True)),
        }
        rows.append(row)
        print(
            f"{source.name:<24}{row['plain_nodes_per_second']:>16,.0f}"
            f"{row['compiled_nodes_per_second']:>18,.0f}{row['ratio']:>8.0f}"
        )
    result = {
        "schema": 1,
        "node_budget": NODE_BUDGET,
        "goal_nodes_per_second": GOAL_NODES_PER_SECOND,
        "slowest_compiled_nodes_per_second": min(row["compiled_nodes_per_second"] for row in rows),
        "compile_seconds": compile_seconds,
        "rows": rows,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
