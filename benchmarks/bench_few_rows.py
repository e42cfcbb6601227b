"""Products of few rows with the default target's matrices: linear, exchanged, filled up, and compiled.

For each number of rows the seconds of all products of one pass, medians over rounds that take turns, each
behind one of its own kind: linear as Transformers calls it, the exchanged product of just these rows, that of
the "fast" kernels, which fills up to a faster number of rows, that of the "compiled" ones with float32
weights, and with the codes that the weights came from. Beside them how long reading the float32 weights
takes, by the sum of their numbers. Codes should be the fastest everywhere, compiled the fastest of float32
weights up to `compiled_rows.MOST_ROWS` but for noise, and fast the fastest of the others.

    python benchmarks/bench_few_rows.py [--rounds 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

from speclight.models.compiled_rows import compiled_products
from speclight.models.few_rows import exchanged_products
from speclight.models.load import load
from speclight.models.packed_weights import bytes_to_read

CODES = "of codes"
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 24, 28, 32, 48, 64)


def exchanged(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.mm(weight, rows.t()).t()


WAYS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "linear": linear,
    "exchanged": exchanged,
    "fast": lambda rows, weight: exchanged_products(rows, [weight]),
    "compiled": lambda rows, weight: compiled_products(rows, [weight]),
    CODES: lambda rows, weight: compiled_products(rows, [weight]),
}


def seconds(way: str, rows: dict[int, torch.Tensor], weights: list[torch.Tensor]) -> float:
    began = 0.0
    for _ in range(2):  # as in a decode, the same was read before
        began = time.perf_counter()
        for weight in weights:
            WAYS[way](rows[weight.shape[1]], weight)
    return time.perf_counter() - began


def timed_reading(weights: list[torch.Tensor]) -> float:
    began = time.perf_counter()
    for weight in weights:
        weight.sum()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Products of few rows with the target's matrices.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load().model
    coded = [part.weight for part in model.modules() if isinstance(part, torch.nn.Linear)]
    weights = [weight.detach() for weight in coded]  # which know no codes
    reading = statistics.median(timed_reading(weights) for _ in range(options.rounds))
    widths = {weight.shape[1] for weight in weights}
    taken: dict[tuple[int, str], list[float]] = {}
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
        for count in ROWS:
            rows = {width: torch.randn(count, width) for width in widths}
            for way in WAYS:
                taken.setdefault((count, way), []).append(
                    seconds(way, rows, coded if way == CODES else weights)
                )
    table = [
        {"rows": count, **{way: statistics.median(taken[count, way][1:]) for way in WAYS}} for count in ROWS
    ]
    reads = sum(bytes_to_read(weight) for weight in coded)
    print(f"codes: {reads / 1e6:.0f} MB, {sum(map(torch.Tensor.numel, weights)) / 1e6:.0f} million weights")
    print(
        f"reading {sum(weight.nbytes for weight in weights) / 1e6:.0f} MB of weights: {1e3 * reading:.0f} ms"
    )
    print("ms of one pass's products" + "".join(f"{way:>12}" for way in WAYS))
    for row in table:
        print(f"{row['rows']:>25}" + "".join(f"{1e3 * row[way]:12.0f}" for way in WAYS))
    document = {"schema": 1, "benchmark": "few rows", "threads": options.threads, "reading": reading}
    print(json.dumps({**document, "rows": table}))


if __name__ == "__main__":
    main()
