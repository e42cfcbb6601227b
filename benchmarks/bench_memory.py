"""Memory of a text of 2,000 tokens: drafted decoding against plain decoding, each in a process of its own.

Claim, for the default target: the peak with the shipped head at P = 8 is at most 1.2 times the plain one. All
but the last tokens are read as a prompt, which leaves the same caches, states and texts in memory as decoding
them would. Prints a table for people, then one line of JSON.

    python benchmarks/bench_memory.py [--tokens 2000] [--decoded 40]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

CLAIM = 1.2
DRAFTERS = ("none", "ngram", "eagle3")
MEASURE = """
import json, sys
from speclight.cli.threads import set_waiting
set_waiting()
import speclight
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.measure.provenance import peak_memory_mib
from speclight.verification.rules import RULES
name, read, decoded = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
target, rule = speclight.load(), RULES["target_sample"]
loaded = peak_memory_mib()
settings = DecodeSettings(1 if name == "none" else 8, decoded)
target.end_of_text = frozenset()
prompt = [1000 + (7919 * place) % 40000 for place in range(read)]
generate_from_ids(target, prompt, drafter_for(target, name, rule, settings.sampling), rule, settings)
print(json.dumps({"loaded_mib": loaded, "peak_mib": peak_memory_mib()}))
"""


def measured(drafter: str, read: int, decoded: int) -> dict[str, float]:
    """Peak memory of one process, MiB, after loading and at the end."""
    command = [sys.executable, "-c", MEASURE, drafter, str(read), str(decoded)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of drafted against plain decoding.")
    parser.add_argument("--tokens", type=int, default=2000, help="length of the text (default: 2000)")
    parser.add_argument("--decoded", type=int, default=40, help="how many are decoded (default: 40)")
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print(f"{'drafter':10}{'loaded, MiB':>14}{'peak, MiB':>12}{'over plain':>12}")
    for drafter in DRAFTERS:
        found = results[drafter] = measured(drafter, options.tokens - options.decoded, options.decoded)
        found["over_plain"] = found["peak_mib"] / results["none"]["peak_mib"]
        print(
            f"{drafter:10}{found['loaded_mib']:14.0f}{found['peak_mib']:12.0f}{found['over_plain']:12.2f}",
            flush=True,
        )
    print(f"claimed: {CLAIM} of plain at most")
    within = all(found["over_plain"] <= CLAIM for found in results.values())
    print(
        json.dumps(
            {"schema": 1, "benchmark": "memory", "claim": CLAIM, "within_claim": within, "results": results}
        )
    )


if __name__ == "__main__":
    main()
