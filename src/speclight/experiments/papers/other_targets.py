"""Moments of several targets beside each other: what other runs over the same question files left behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Any

from speclight.errors import StorageError
from speclight.experiments.papers.table_1 import MeasuredMoments
from speclight.measure.estimates import Estimate

RESULT_NAME = "reproduced.json"
NORMAL_QUANTILE = 1.96
ESTIMATES = ("mu", "mu2", "neighbours")


@dataclass(frozen=True, slots=True)
class TargetMoments:
    """Table 1 of one target. parameters: how many it has, shared ones once."""

    target: str
    parameters: int
    moments: tuple[MeasuredMoments, ...]


@dataclass(frozen=True, slots=True)
class SizePair:
    """Two targets on the data they share: on how many sets the larger one's mu is lower, higher, undecided.

    Decided: the 95% interval of the difference of two independent means leaves out 0.
    """

    smaller: str
    larger: str
    lower: int
    higher: int
    undecided: int


def read_target_moments(folder: Path) -> TargetMoments:
    """What `speclight reproduce` wrote into its folder. Raises StorageError if it has not, or is damaged."""
    path = folder / RESULT_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return TargetMoments(
            document["target"], document["parameters"], tuple(map(_moments, document["moments"]))
        )
    except OSError as error:
        raise StorageError(
            f"{folder} holds no {RESULT_NAME}, expected a folder of `speclight reproduce`; run it first"
        ) from error
    except (ValueError, TypeError, LookupError) as error:
        raise StorageError(
            f"{RESULT_NAME} in {folder.name} is not in the form that this version reads ({error!r}); repeat "
            "the command that made it, which reads its records again"
        ) from error


def _moments(row: dict[str, Any]) -> MeasuredMoments:
    return MeasuredMoments(**{**row, **{name: Estimate(**row[name]) for name in ESTIMATES}})


def size_pairs(targets: Sequence[TargetMoments]) -> tuple[SizePair, ...]:
    """Every two targets of different size that share a data set at one temperature."""
    by_size = sorted(targets, key=lambda target: target.parameters)
    pairs = [_pair(*two) for two in combinations(by_size, 2) if two[0].parameters < two[1].parameters]
    return tuple(pair for pair in pairs if pair.lower + pair.higher + pair.undecided)


def _pair(smaller: TargetMoments, larger: TargetMoments) -> SizePair:
    mus = {(row.data, row.temperature): row.mu for row in smaller.moments}
    differences = [
        (mus[key], row.mu) for row in larger.moments if (key := (row.data, row.temperature)) in mus
    ]
    signs = [_sign(*two) for two in differences]
    return SizePair(smaller.target, larger.target, signs.count(1), signs.count(-1), signs.count(0))


def _sign(of_smaller: Estimate, of_larger: Estimate) -> int:
    if of_smaller.standard_error is None or of_larger.standard_error is None:
        return 0
    error = sqrt(of_smaller.standard_error**2 + of_larger.standard_error**2)
    difference = of_smaller.value - of_larger.value
    return 0 if abs(difference) <= NORMAL_QUANTILE * error else (1 if difference > 0.0 else -1)
