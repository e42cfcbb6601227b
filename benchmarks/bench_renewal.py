"""How long the renewal computations take, beside a plain O(n^2) recursion in the same run.

    python benchmarks/bench_renewal.py

Prints a table and, as its last line, one JSON document. Times are the median of several repeats of one
call in this process; the ratio to the plain recursion is what carries over to other machines.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from speclight.theory.iid.markov_renewal import MarkovKernel, capped_type_counts
from speclight.theory.iid.renewal import capped_node_count, plain_node_count, renewal
from speclight.theory.laws.step_law import from_laws

NODE_BUDGET = 1024
SCALAR_BINS, SCALAR_GOAL_SECONDS = 4000, 0.050
TYPES, TYPE_BINS, MARKOV_GOAL_SECONDS = 8, 1000, 0.5
WIDTH = 2.0**-9
TYPE_WIDTH = 2.0**-7


@dataclass(frozen=True, slots=True)
class Row:
    """One computation: median seconds, the goal, and how many times faster than the plain form it is."""

    name: str
    seconds: float
    goal_seconds: float | None
    plain_seconds: float | None
    largest_relative_difference: float | None

    @property
    def speed_ratio(self) -> float | None:
        return None if self.plain_seconds is None else self.plain_seconds / self.seconds


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    call()  # warm-up: first-touch memory and the transform's plan
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def plain_type_counts(kernel: MarkovKernel, bins: int) -> np.ndarray:
    """[types, bins] the matrix recursion u_k = (I - C_0)^-1 sum_{j>=1} C_j u_{k-j}, all depths, uncapped."""
    start = np.linalg.inv(np.eye(kernel.types) - kernel.counts[:, :, 0])
    later = np.moveaxis(kernel.counts, 2, 0)[1:]  # [bins - 1, types, types]
    renewal_rows = np.zeros((bins, kernel.types))
    renewal_rows[0] = start.sum(axis=1)
    for k in range(1, bins):
        reach = min(k, len(later))
        past = renewal_rows[k - reach : k][::-1]  # [reach, types]
        renewal_rows[k] = start @ np.einsum("kij,kj->i", later[:reach], past)
    return renewal_rows.T.cumsum(axis=1)


def scalar_rows() -> list[Row]:
    rows = np.random.default_rng(1).dirichlet(np.full(200, 0.05), size=500)
    law = from_laws(rows, width=WIDTH)
    unlimited = 10**12  # for comparison without the cap at P, which would hide differences beyond it
    fast = capped_node_count(law.counts, WIDTH, unlimited, SCALAR_BINS)
    plain = plain_node_count(law.counts, unlimited, SCALAR_BINS)
    fine = from_laws(rows)
    return [
        Row(
            f"renewal count, {SCALAR_BINS} bins",
            median_seconds(lambda: capped_node_count(law.counts, WIDTH, NODE_BUDGET, SCALAR_BINS), 21),
            SCALAR_GOAL_SECONDS,
            median_seconds(lambda: plain_node_count(law.counts, unlimited, SCALAR_BINS), 3),
            float(np.abs(fast / plain - 1.0).max()),
        ),
        Row(
            f"renewal bound with its stopping rule, P = {NODE_BUDGET}",
            median_seconds(lambda: renewal(fine, NODE_BUDGET), 5),
            None,
            None,
            None,
        ),
    ]


def markov_row() -> Row:
    rng = np.random.default_rng(2)
    transitions = rng.dirichlet(np.full(TYPES, 0.3), size=TYPES)
    counts = np.zeros((TYPES, TYPES, TYPE_BINS))
    for kind in range(TYPES):
        law = from_laws(rng.dirichlet(np.full(200, 0.02 + 0.03 * kind), size=200), width=TYPE_WIDTH)
        kept = min(TYPE_BINS, len(law))
        counts[kind, :, :kept] = transitions[kind][:, None] * law.counts[:kept]
    kernel = MarkovKernel(TYPE_WIDTH, counts)
    unlimited = 10**12
    fast, plain = capped_type_counts(kernel, unlimited, TYPE_BINS), plain_type_counts(kernel, TYPE_BINS)
    return Row(
        f"Markov renewal count, {TYPES} types, {TYPE_BINS} bins",
        median_seconds(lambda: capped_type_counts(kernel, NODE_BUDGET, TYPE_BINS), 7),
        MARKOV_GOAL_SECONDS,
        median_seconds(lambda: plain_type_counts(kernel, TYPE_BINS), 3),
        float(np.abs(fast / np.minimum(plain, unlimited) - 1.0).max()),
    )


def main() -> None:
    rows = [*scalar_rows(), markov_row()]
    print(f"{'computation':<52}{'ms':>9}{'goal ms':>9}{'plain ms':>10}{'ratio':>8}{'difference':>12}")
    for row in rows:
        goal = "" if row.goal_seconds is None else f"{1e3 * row.goal_seconds:.0f}"
        plain = "" if row.plain_seconds is None else f"{1e3 * row.plain_seconds:.1f}"
        ratio = "" if row.speed_ratio is None else f"{row.speed_ratio:.1f}"
        gap = "" if row.largest_relative_difference is None else f"{row.largest_relative_difference:.1e}"
        print(f"{row.name:<52}{1e3 * row.seconds:>9.2f}{goal:>9}{plain:>10}{ratio:>8}{gap:>12}")
    document = {
        "schema": 1,
        "benchmark": "renewal",
        "node_budget": NODE_BUDGET,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rows": [asdict(row) | {"speed_ratio": row.speed_ratio} for row in rows],
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
