"""How long `import speclight`, its help, a bound and bad input take, beside a Python that does nothing.

Claim: import and help stay under 0.5 s on a laptop core, bounds of two numbers and the message about bad
input under 1 s, from Enter to the end. One round runs every case once, in turn, so that a busy moment of the
machine hits all of them; the figure of a case is the median over rounds, and its ratio is to the median
of the empty Python in the same run. Prints a table for people, then one line of JSON.

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
CLAIM_SECONDS, ANSWER_CLAIM_SECONDS = 0.5, 1.0
BAD_INPUT = 2  # exit code
SCRIPT = Path(sys.executable).parent / "speclight"
CASES: dict[str, list[str]] = {
    BASELINE: [sys.executable, "-c", "pass"],
    "import speclight": [sys.executable, "-c", "import speclight"],
    "speclight --help": [str(SCRIPT), "--help"],
    "speclight --version": [str(SCRIPT), "--version"],
}
BOUND = "bound --mu 1.5 --mu2 4 --budget 8,60"
BAD = (
    "generate --prompt x --rule coin",
    "generate --prompt x --drafter parrot",
    "generate --prompt x --tree oak",
    "generate --prompt x --kind coin",
    "generate --prompt x --dtype float8",
    "generate --prompt x --drafter eagle3=./missing/folder",
    "generate --prompt x --target missing.gguf",
    "generate --prompt x --threads 1000000",
    "generate --prompt x --budget 100000",
    "train-head --out x --learning-rate nan",
    "bound --mu 1 --mu2 2 --budget 8 --plot x.pdf",
    "bound --profile missing/folder --budget 8",
    "profile --prompts missing.jsonl",
    "demo --out /dev/null/x",
    "trace --growth oak",
    "trace --sampled coin",
    "trace --drafter parrot",
    "trace --profile missing/folder",
    "score missing/folder",
    "plan missing/folder --latency missing/folder",
    "gap --drafter parrot",
    "gap --prompts missing.jsonl",
    "latency --budget 100000",
    "latency --shape missing.json",
    "latency --drafter parrot",
    "import missing.log",
    "verify --drafter ngram --rule coin",
    "oracle --profile missing/folder",
    "doctor missing/folder",
    "drafter-profile --drafter parrot",
    "engine-check nonsense",
    "experiment compare-drafters --drafter parrot",
    "experiment limits-test --questions missing.jsonl",
    "experiment score-test missing/folder",
    "reproduce table-1 --questions missing.jsonl",
    "report --run missing/folder",
)
ANSWERS = {f"speclight {line}": [str(SCRIPT), *line.split()] for line in (BOUND, *BAD)}
CASES |= ANSWERS


def seconds_of(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - started
    expected = BAD_INPUT if " ".join(command[1:]) in BAD else 0
    if done.returncode != expected:
        raise SystemExit(f"{command} exited with {done.returncode}, expected {expected}")
    return seconds


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
    width = max(map(len, CASES)) + 2
    print(f"{'case':{width}}{'median s':>10}{'longest s':>11}{'ratio':>8}")
    cases: dict[str, dict[str, object]] = {}
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:{width}}{median:10.3f}{max(times):11.3f}{median / baseline:8.1f}")
        cases[name] = {
            "seconds": times,
            "median_seconds": median,
            "ratio_to_baseline": median / baseline,
            "within_claim": median < (ANSWER_CLAIM_SECONDS if name in ANSWERS else CLAIM_SECONDS),
        }
    document = {
        "schema": 1,
        "benchmark": "startup",
        "baseline": BASELINE,
        "claim_seconds": CLAIM_SECONDS,
        "answer_claim_seconds": ANSWER_CLAIM_SECONDS,
        "rounds": rounds,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cases": cases,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
