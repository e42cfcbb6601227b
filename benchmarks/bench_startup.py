"""How long `import speclight` and `speclight --help` take, beside a Python that does nothing.

Claim: each stays under 0.5 s on a laptop core. One round runs every case once, in turn, so that a busy
moment of the machine hits all of them; the figure of a case is the median over rounds, and its ratio is to
the median of the empty Python in the same run. Prints a table for people, then one line of JSON.

    python benchmarks/bench_startup.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

BASELINE = "python -c pass"
CLAIM_SECONDS = 0.5
SCRIPT = Path(sys.executable).parent / "speclight"
CASES: dict[str, list[str]] = {
    BASELINE: [sys.executable, "-c", "pass"],
    "import speclight": [sys.executable, "-c", "import speclight"],
    "speclight --help": [str(SCRIPT), "--help"],
    "speclight --version": [str(SCRIPT), "--version"],
}


def seconds_of(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, list[float]]:
    for command in CASES.values():  # the first run writes bytecode and fills the file cache
        seconds_of(command)
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, command in CASES.items():
            seconds[name].append(seconds_of(command))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Start-up time against an empty Python.")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each case (default: 20)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error(f"--rounds must be at least 1, got {rounds}")
    seconds = measure(rounds)
    baseline = statistics.median(seconds[BASELINE])
    print(f"{'case':24}{'median s':>10}{'longest s':>11}{'ratio':>8}")
    cases: dict[str, dict[str, object]] = {}
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:24}{median:10.3f}{max(times):11.3f}{median / baseline:8.1f}")
        cases[name] = {
            "seconds": times,
            "median_seconds": median,
            "ratio_to_baseline": median / baseline,
            "within_claim": median < CLAIM_SECONDS,
        }
    document = {
        "schema": 1,
        "benchmark": "startup",
        "baseline": BASELINE,
        "claim_seconds": CLAIM_SECONDS,
        "rounds": rounds,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cases": cases,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
