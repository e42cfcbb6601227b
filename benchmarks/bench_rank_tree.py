"""Time of growing optimal rank trees of a million nodes: one queue per rank against one plain heap.

Usage: python benchmarks/bench_rank_tree.py [nodes]. Processor time, median of 3 runs; the last line is
one JSON document. Goal: below 2 s for a million nodes.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from speclight.arrays import FloatArray
from speclight.theory.races.rank_tree import optimal_rank_tree

RUNS = 3


def plain_heap(rates: FloatArray, drafted: int) -> float:
    """Pop the likeliest node, push its first child and its next sibling: two pushes per node."""
    chances: list[float] = rates.tolist()
    parents, ranks, paths = [-1], [0], [1.0]
    heap = [(-chances[0], 0, 0)]
    for node in range(1, drafted + 1):
        minus_path, parent, rank = heapq.heappop(heap)
        parents.append(parent)
        ranks.append(rank)
        paths.append(-minus_path)
        heapq.heappush(heap, (minus_path * chances[0], node, 0))
        if rank + 1 < len(chances):
            heapq.heappush(heap, (-paths[parent] * chances[rank + 1], parent, rank + 1))
    edges = np.array([parents, ranks])  # the arrays a tree is made of are part of the work
    return float(np.array(paths).sum()) if edges.size else 0.0


def merged_queues(rates: FloatArray, drafted: int) -> float:
    return optimal_rank_tree(rates, drafted).expected_tokens


def median_seconds(
    grow: Callable[[FloatArray, int], float], rates: FloatArray, drafted: int
) -> tuple[float, float]:
    seconds: list[float] = []
    value = 0.0
    for _ in range(RUNS):
        start = time.process_time()
        value = grow(rates, drafted)
        seconds.append(time.process_time() - start)
    return median(seconds), value


def main() -> None:
    drafted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    zipf = 1.0 / np.arange(1, 1001) ** 1.5
    laws = {
        "four ranks (0.7, 0.2, 0.07, 0.03)": np.array([0.7, 0.2, 0.07, 0.03]),
        "uniform on 8": np.full(8, 0.125),
        "near-certain (0.9999, 0.0001)": np.array([0.9999, 0.0001]),
        "power law 1.5 on 1000": zipf / zipf.sum(),
    }
    rows: list[dict[str, str | float | int]] = []
    print(f"{'rank law':36} {'queues s':>9} {'heap s':>9} {'ratio':>6}   {drafted} nodes")
    for name, rates in laws.items():
        fast, fast_value = median_seconds(merged_queues, rates, drafted)
        plain, plain_value = median_seconds(plain_heap, rates, drafted)
        if not np.isclose(fast_value, plain_value, rtol=1e-9, atol=0.0):
            raise SystemExit(f"{name}: the two trees differ, {fast_value!r} against {plain_value!r} tokens")
        print(f"{name:36} {fast:9.3f} {plain:9.3f} {plain / fast:6.1f}")
        rows.append({"law": name, "nodes": drafted, "queues_seconds": fast, "heap_seconds": plain})
    print(json.dumps({"benchmark": "rank_tree", "runs": RUNS, "rows": rows}))


if __name__ == "__main__":
    main()
