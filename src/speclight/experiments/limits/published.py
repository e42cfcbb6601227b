"""The two moments that arXiv 2512.11718v1 publishes, and what each form makes of them."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.theory.catalogue import BY_NAME
from speclight.theory.known import Known, Moments

# As printed, Theorem 1 with its correct envelope, the sharpest form from the same moments and its lower
# partner, and the leading term that the paper plots.
FORMS = ("theorem_1", "sharpened_theorem_1", "two_moments", "two_moments_lower", "limit")


@dataclass(frozen=True, slots=True)
class PublishedMoments:
    """One row of the paper's Table 1, temperature 1: mu in nats, mu2 in nats^2."""

    target: str
    data: str
    mu: float
    mu2: float


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


def published_values(row: PublishedMoments, node_budget: int) -> dict[str, float]:
    """Tokens per call by each of FORMS at P. Raises InvalidInput for a budget below 1."""
    known = Known(Moments(row.mu, row.mu2))
    return {bound.name: bound.value for bound in known.bounds(node_budget, [BY_NAME[name] for name in FORMS])}
