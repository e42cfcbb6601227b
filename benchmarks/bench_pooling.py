"""How well plans predict the speed of what they recommend, by known truth, for docs/theory/pooling.md.

Made-up families of six prompts, 140 configurations of two drafters. For each way to choose: bias and root
mean square of the logarithm of predicted over true speed, the share within 10%, and how often 95% intervals
hold the truth. Prints a table, then one JSON line.

    python benchmarks/bench_pooling.py
"""

import json
from collections.abc import Iterator

import numpy as np

from speclight.advice.planted_families import CONFIGURATIONS, FAMILIES, PlantedFamilies, planted_families
from speclight.advice.pooling import mean_calls, partial_pooling
from speclight.advice.prediction import predictions
from speclight.advice.priced_calls import PricedCalls

TRACES, PROMPTS, SEED = 60, 6, 1
DIFFER = (0.05, 0.3, 0.7)
Choice = tuple[str, float, bool]  # how chosen, off by, inside the interval


def main() -> None:
    rows = []
    print("families  chosen by               bias    rms  within 10%  intervals hold")
    for differ in DIFFER:
        rng = np.random.default_rng(SEED)
        found: dict[str, list[tuple[float, bool]]] = {}
        for _ in range(TRACES):
            truth = planted_families(differ, rng)
            for way, off, inside in choices(truth, truth.calls(PROMPTS, rng)):
                found.setdefault(way, []).append((off, inside))
        for way, each in found.items():
            off, inside = np.array(each).T
            row = {
                "differ": differ,
                "chosen_by": way,
                "choices": len(off),
                "bias": float(off.mean()),
                "root_mean_square": float(np.sqrt((off**2).mean())),
                "within_10_percent": float((np.abs(np.expm1(off)) < 0.1).mean()),
                "intervals_hold": float(inside.mean()) if "plan" in way else None,
            }
            rows.append(row)
            held = "" if row["intervals_hold"] is None else f"{row['intervals_hold']:14.0%}"
            print(
                f"{differ:8.2f}  {way:20s} {row['bias']:+7.1%} {row['root_mean_square']:6.1%} "
                f"{row['within_10_percent']:10.0%}  {held}"
            )
    print(json.dumps({"schema": 1, "traces": TRACES, "prompts": PROMPTS, "rows": rows}))


def choices(truth: PlantedFamilies, calls: list[PricedCalls]) -> Iterator[Choice]:
    """The fastest of each family and of their mix: by the largest mean, by pooled means, by a plan."""
    own = mean_calls(calls)
    ways = {"largest mean": own, "pooled": partial_pooling(calls).drawn(own)}
    mixes = [("", each) for each in np.eye(FAMILIES)] + [(" of the mix", np.full(FAMILIES, 1.0 / FAMILIES))]
    for name, mix in mixes:
        true = 1.0 / (mix @ (1.0 / truth.speeds))
        for way, means in ways.items():
            speeds = 1.0 / (mix @ (means[0] * means[1:].sum(axis=0)))
            place = int(speeds.argmax())
            yield way + name, float(np.log(speeds[place] / true[place])), False
        best = max(predictions(calls, mix, 1), key=lambda each: each.tokens_per_second.value)
        speed, place = best.tokens_per_second, CONFIGURATIONS.index(best.configuration)
        assert speed.low is not None
        assert speed.high is not None
        inside = bool(speed.low <= true[place] <= speed.high)
        yield "plan" + name, float(np.log(speed.value / true[place])), inside


if __name__ == "__main__":
    main()
