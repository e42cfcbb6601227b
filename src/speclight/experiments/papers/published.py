"""What was published: two moments of four targets, and tokens per call of EAGLE-3 on the same data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedMoments:
    """One row of the paper's Table 1, temperature 1: mu in nats, mu2 in nats^2."""

    target: str
    data: str
    mu: float
    mu2: float


# What EAGLE's question files are called in the papers, by their names without ending.
FILE_NAMES = {
    "humaneval": "HumanEval",
    "mt_bench": "MT-bench",
    "gsm8k": "GSM8K",
    "sum": "CNN/DM",
    "qa": "NQ",
    "alpaca": "Alpaca",
}
_DATA = ("HumanEval", "MT-bench", "GSM8K", "CNN/DM", "NQ", "mean")
_TABLE_1 = {
    "Llama-3.1-8B": (
        (0.279, 0.777),
        (1.088, 6.654),
        (0.636, 2.912),
        (0.577, 1.531),
        (0.837, 2.926),
        (0.683, 2.960),
    ),
    "Llama-3.3-70B": (
        (0.136, 0.238),
        (0.179, 0.383),
        (0.126, 0.199),
        (0.146, 0.266),
        (0.179, 0.382),
        (0.153, 0.290),
    ),
    "DeepSeek-R1-Distill-8B": (
        (0.530, 1.252),
        (0.633, 1.951),
        (0.233, 0.531),
        (0.601, 1.650),
        (0.771, 2.397),
        (0.554, 1.556),
    ),
    "Qwen3-8B": (
        (0.178, 0.313),
        (0.369, 0.814),
        (0.202, 0.369),
        (0.328, 0.691),
        (0.518, 1.297),
        (0.319, 0.697),
    ),
}
TABLE_1 = tuple(
    PublishedMoments(target, data, mu, mu2)
    for target, rows in _TABLE_1.items()
    for data, (mu, mu2) in zip(_DATA, rows, strict=True)
)


@dataclass(frozen=True, slots=True)
class PublishedSystem:
    """Tokens per call of a deployed drafter at temperature 1, the token after the accepted path included.

    Trees of at most 60 nodes, as configured by its authors. source: where the number is printed.
    """

    target: str
    data: str
    drafter: str
    tokens_per_call: float
    source: str


_EAGLE_3 = "arXiv 2503.01840, Table 1"
_ANGELSLIM = "README of Tencent/AngelSlim"
_TAU = {
    # target: drafter, source, then (MT-bench, HumanEval, GSM8K, CNN/DM)
    "Llama-3.1-8B": ("EAGLE-3", _EAGLE_3, (4.24, 5.82, 4.59, 4.39)),
    "Llama-3.3-70B": ("EAGLE-3", _EAGLE_3, (5.45, 6.16, 5.95, 4.88)),
    "DeepSeek-R1-Distill-8B": ("EAGLE-3", _EAGLE_3, (4.49, 5.28, 6.10, 4.27)),
    "Qwen3-8B": ("AngelSlim's EAGLE-3", _ANGELSLIM, (2.75, 3.11, 3.15)),
}
_TAU_DATA = ("MT-bench", "HumanEval", "GSM8K", "CNN/DM")
SYSTEMS = tuple(
    PublishedSystem(target, data, drafter, value, source)
    for target, (drafter, source, values) in _TAU.items()
    for data, value in zip(_TAU_DATA[: len(values)], values, strict=True)
)
