"""Seconds and memory of the ergodic renewal bound from 100,000 tokens with 200 bootstrap replicas.

Each node budget is estimated plain, in four strata, and as its integral in readable Python. A plain bootstrap
and jackknife would repeat that integral per replica and per prompt left out, so the ratio sets 1 + replicas +
prompts integrals against one call. Goal: below 10 s and 1 GB. Prints a table, then one JSON line.

    python benchmarks/bench_ergodic.py
"""

import json
import resource
import sys
import time

import numpy as np

from speclight.theory.ergodic.bootstrap import resample_prompts
from speclight.theory.ergodic.bound import ergodic_renewal
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.truth.ergodic_integral import ergodic_renewal_integral
from speclight.theory.truth.sources import reference_sources, sample_texts

PROMPTS, TOKENS_PER_PROMPT, REPLICAS = 200, 500, 200
NODE_BUDGETS = (4, 16, 60, 256)
GOAL_SECONDS, GOAL_BYTES = 10.0, 1e9
SOURCE = 4  # Dirichlet of concentration 0.05: low entropy, hence many atoms below each threshold


def peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    rng = np.random.default_rng(0)
    source = reference_sources()[SOURCE]
    texts = sample_texts(source, rng.random((PROMPTS, TOKENS_PER_PROMPT, 3)))
    draws = resample_prompts(PROMPTS, REPLICAS, rng)
    strata = quantile_strata(texts, 4)
    evaluations = 1 + REPLICAS + PROMPTS
    rows = []
    for node_budget in NODE_BUDGETS:
        seconds = []
        for chosen in (None, strata):
            begin = time.perf_counter()
            ergodic_renewal(texts, node_budget, chosen, draws=draws)
            seconds.append(time.perf_counter() - begin)
        rows.append(
            {"node_budget": node_budget, "plain_bound_seconds": seconds[0], "four_strata_seconds": seconds[1]}
        )
    # Taken here, because the integral keeps every atom as a Python float.
    memory = peak_bytes()
    print(f"{'P':>6}{'one stratum s':>16}{'4 strata s':>14}{'integral s':>14}{'ratio':>10}")
    for row in rows:
        begin = time.perf_counter()
        ergodic_renewal_integral(texts[: PROMPTS // 10], row["node_budget"])
        row["integral_seconds"] = 10 * (time.perf_counter() - begin)  # linear in tokens
        row["ratio"] = row["integral_seconds"] * evaluations / row["plain_bound_seconds"]
        print(
            f"{row['node_budget']:>6}{row['plain_bound_seconds']:>16.3f}{row['four_strata_seconds']:>14.3f}"
            f"{row['integral_seconds']:>14.2f}{row['ratio']:>10,.0f}"
        )
    result = {
        "schema": 1,
        "source": source.name,
        "tokens": PROMPTS * TOKENS_PER_PROMPT,
        "replicas": REPLICAS,
        "goal_seconds": GOAL_SECONDS,
        "goal_bytes": GOAL_BYTES,
        "peak_bytes": memory,
        "slowest_seconds": max(row["four_strata_seconds"] for row in rows),
        "rows": rows,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
