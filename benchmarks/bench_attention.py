"""Attention of few new tokens to a text: the compiled loops beside torch's own, as a decode meets them.

Of the default target's shape, with the keys and values of thirty layers in turn and other numbers read in
between, so that no cache holds them. Medians in microseconds a layer. The loops should be the faster up to
`compiled_attention.MOST_NEW` new tokens. Prints a table for people, then one line of JSON.

    python benchmarks/bench_attention.py [--rounds 9] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from speclight.models import compiled_attention as compiled
from speclight.models.compiled_attention import compiled_attention
from speclight.models.grouped_attention import grouped_attention

HEADS, GROUPS, SIZE, LAYERS = 9, 3, 64, 30
NEW = (1, 2, 4, 8, 16, 32, 64)
SLOTS = (256, 1024, 4096)
OTHERS = 30_000_000  # numbers: more than a cache holds
WAYS = {"compiled": compiled_attention, "torch's": grouped_attention}


def seconds(
    way: str, new: int, layers: list[tuple[torch.Tensor, torch.Tensor]], others: torch.Tensor
) -> float:
    slots = layers[0][0].shape[2]
    query = torch.randn(1, new, HEADS + GROUPS, SIZE)[:, :, :HEADS].transpose(1, 2)
    mask = torch.zeros(1, 1, new, slots)
    mask[..., slots - new :] = torch.full((new, new), torch.finfo(torch.float32).min).triu(1)
    module = torch.nn.Module()
    others.sum()
    began = time.perf_counter()
    for keys, values in layers:
        WAYS[way](module, query, keys, values, mask)
    return (time.perf_counter() - began) / len(layers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Attention of few new tokens.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compiled.MOST_NEW = max(NEW)  # beyond, the loops would not be asked
    others, rows = torch.randn(OTHERS), list[dict[str, float]]()
    print(f"{'slots':>8}{'new':>6}" + "".join(f"{way:>12}" for way in WAYS) + f"{'ratio':>8}")
    with torch.inference_mode():
        for slots in SLOTS:
            layers = [
                (torch.randn(1, GROUPS, slots, SIZE), torch.randn(1, GROUPS, slots, SIZE))
                for _ in range(LAYERS)
            ]
            for new in NEW:
                taken = {way: list[float]() for way in WAYS}
                for _ in range(options.rounds + 1):
                    for way in WAYS:
                        taken[way].append(seconds(way, new, layers, others))
                medians = {
                    way: statistics.median(own[1:]) for way, own in taken.items()
                }  # the first compiles
                ratio = medians["compiled"] / medians["torch's"]
                cells = "".join(f"{1e6 * median:12.0f}" for median in medians.values())
                print(f"{slots:8}{new:6}{cells}{ratio:8.2f}", flush=True)
                rows.append({"slots": slots, "new": new, "ratio": ratio, **medians})
    print(json.dumps({"schema": 1, "benchmark": "attention", "threads": options.threads, "rows": rows}))


if __name__ == "__main__":
    main()
