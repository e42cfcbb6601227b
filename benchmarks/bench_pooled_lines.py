"""What a run of a latency record takes, foretold from its other runs, for docs/theory/pooling.md.

For each drafter of the records and each phase: root mean square of foretold minus measured milliseconds,
leaving one run (a kind of tree at one size) out at a time, by the line of least squares through the other
runs of its kind and by the pooled one. Prints a table, then one JSON line.

    python benchmarks/bench_pooled_lines.py results/2026-11-27-plans/latency
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speclight.measure.latency.loop_times import PHASES
from speclight.measure.latency.pooled_lines import TimedRun, pooled_lines
from speclight.measure.latency.record import read_latency


def main() -> None:
    rows = []
    print(f"{'record':40s} drafter  phase    runs  own line, ms  pooled, ms")
    for folder in sys.argv[1:]:
        for times in read_latency(Path(folder)).loops:
            if times.levels is None:  # plain decoding: one kind, one size
                continue
            for phase in PHASES:
                runs = times.runs(phase)
                own, pooled = np.sqrt(np.mean([off(runs, place) for place in range(len(runs))], axis=0))
                row = {"record": folder, "drafter": times.drafter, "phase": phase, "runs": len(runs)}
                rows.append(row | {"own_ms": float(own), "pooled_ms": float(pooled)})
                print(f"{folder:40s} {times.drafter:8s} {phase:8s} {len(runs):4d} {own:13.2f} {pooled:11.2f}")
    print(json.dumps({"schema": 1, "rows": rows}))


def off(runs: Sequence[TimedRun], place: int) -> tuple[float, float]:
    """Squared milliseconds by which the run is missed: by its kind's own line, and by the pooled one."""
    left_out, others = runs[place], [*runs[:place], *runs[place + 1 :]]
    kind = [run for run in others if run.kind == left_out.kind]
    nodes, seconds = [run.nodes for run in kind], [run.seconds for run in kind]
    degree = 1 if np.ptp(nodes) >= 1.0 else 0
    own = float(np.polyval(np.polyfit(nodes, seconds, degree), left_out.nodes))
    pooled = float(pooled_lines(others).of(left_out.kind).at(left_out.nodes))
    return (1e3 * (own - left_out.seconds)) ** 2, (1e3 * (pooled - left_out.seconds)) ** 2


if __name__ == "__main__":
    main()
