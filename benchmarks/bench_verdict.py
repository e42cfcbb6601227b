"""Whether the quick demo says the same of speed each time: its verdict over many runs, quiet and busy.

Claim: over ten runs on a machine doing nothing else and ten beside busy neighbours, no two verdicts
contradict each other: all are the same, or "not decided". Runs share the records of the first one, which hold
no times, so all decode the same texts; quiet and busy runs alternate. Prints a line for each run, then one
line of JSON; exits with 1 where one run says "faster" and another "slower".

    python benchmarks/bench_verdict.py [--quiet 10] [--busy 10] [--neighbours 1]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from busy_neighbours import busy_neighbours

SCRIPT = Path(sys.executable).parent / "speclight"


def verdict_of_run(folder: Path, busy: int) -> dict[str, object]:
    """The headline's speed of one quick demo into `folder`, and how long it took."""
    started = time.perf_counter()
    with busy_neighbours(busy):
        command = [str(SCRIPT), "demo", "--quick", "--out", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    speed = json.loads((folder / "report.json").read_text(encoding="utf-8"))["headline"]["speed_up"]
    return {
        "neighbours": busy,
        "verdict": speed["verdict"],
        **{name: speed["estimate"][name] for name in ("value", "low", "high")},
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The quick demo's verdict on speed, again and again.")
    parser.add_argument("--quiet", type=int, default=10, help="runs with nothing else to do (default: 10)")
    parser.add_argument("--busy", type=int, default=10, help="runs beside busy processes (default: 10)")
    parser.add_argument("--neighbours", type=int, default=1, help="busy processes beside (default: 1)")
    options = parser.parse_args()
    if options.quiet < 0 or options.busy < 0 or options.quiet + options.busy < 2 or options.neighbours < 1:
        parser.error("--quiet and --busy must be at least 0, together at least 2; --neighbours at least 1")
    both = min(options.quiet, options.busy)
    left = [0] * (options.quiet - both) + [options.neighbours] * (options.busy - both)
    runs: list[dict[str, object]] = []
    folder = Path(tempfile.mkdtemp(prefix="speclight-verdict-"))
    try:
        for busy in [0, options.neighbours] * both + left:
            run = verdict_of_run(folder, busy)
            runs.append(run)
            machine = "busy" if run["neighbours"] else "quiet"
            interval = f"{run['value']:.3f} ({run['low']:.3f} to {run['high']:.3f})"
            print(f"{machine:6} {run['verdict']!s:12} {interval}  {run['seconds']:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder)
    verdicts = sorted({str(run["verdict"]) for run in runs})
    print(json.dumps({"schema": 1, "benchmark": "verdict", "verdicts": verdicts, "runs": runs}))
    sys.exit({"faster", "slower"}.issubset(verdicts))


if __name__ == "__main__":
    main()
