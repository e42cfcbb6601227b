"""Lines of seconds over nodes, one a kind of tree, drawn towards the line that all kinds share.

A kind is timed in a few runs of a few calls, and what the machine does at the time moves all calls of a run
alike: by several milliseconds, where what kinds differ in may be a part of one. A line through such runs
alone is mostly noise, and a search for the fastest finds it. So each kind's line departs from the common one
as far as kinds are seen to differ by more than runs of one kind do (partial pooling: best linear unbiased
prediction, Robinson 1991, Statist. Sci. 6, 15; variances by restricted maximum likelihood).
docs/theory/pooling.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray

# Standard deviations that are looked for, as shares of that of all runs.
LEAST, MOST = 1e-4, 10.0
BEGINNINGS = (0.05, 0.5)


@dataclass(frozen=True, slots=True)
class TimedRun:
    """Calls timed one after the other. kind: of their trees. nodes: of these, on average.

    seconds: of a call in the middle. error: standard error of that, from call to call within the run.
    whole: seconds of all that was timed and that `seconds` are a part or a difference of, > 0: the machine
    moves them by a share of these.
    """

    kind: str
    nodes: float
    seconds: float
    error: float
    whole: float


@dataclass(frozen=True, slots=True)
class SecondsByNodes:
    """Seconds on a straight line over the nodes of the tree."""

    of_none: float
    per_node: float

    def at(self, nodes: FloatArray | float) -> FloatArray:
        """[any] seconds of trees of so many nodes, >= 0 unless they stand for a difference."""
        return self.of_none + self.per_node * np.asarray(nodes, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class PooledLines:
    """The lines of several kinds. common: the one that all share. own: that of each kind that was timed."""

    common: SecondsByNodes
    own: Mapping[str, SecondsByNodes]

    def of(self, kind: str) -> SecondsByNodes:
        """The kind's own line; the common one where it was not timed."""
        return self.own.get(kind, self.common)


def pooled_lines(runs: Sequence[TimedRun]) -> PooledLines:
    """The lines of runs, at least one; level where all trees are of about one size.

    Nothing tells luck from merit with a single kind, or with no more runs than a line needs: the common line
    is then that of least squares, and the only one.
    """
    nodes = np.array([run.nodes for run in runs])
    is_level, scale = float(np.ptp(nodes)) < 1.0, float(nodes.mean())
    design = np.ones((len(runs), 1)) if is_level else np.column_stack([np.ones(len(runs)), nodes / scale])
    kinds = list(dict.fromkeys(run.kind for run in runs))
    whole = np.array([run.whole for run in runs])
    found = _Runs(
        design,
        np.array([run.seconds for run in runs]),
        np.array([run.error for run in runs]) ** 2,
        whole / whole.mean(),
        np.array([[run.kind == kind for run in runs] for kind in kinds], dtype=np.float64),
    )

    def line(coefficients: FloatArray) -> SecondsByNodes:
        return SecondsByNodes(float(coefficients[0]), 0.0 if is_level else float(coefficients[1]) / scale)

    tells_luck = len(kinds) > 1 and len(runs) > design.shape[1] + 1 and np.ptp(found.seconds) > 0.0
    if not tells_luck:
        return PooledLines(line(np.linalg.lstsq(design, found.seconds, rcond=None)[0].astype(np.float64)), {})
    common, apart = found.predicted(found.likeliest())
    return PooledLines(line(common), dict(zip(kinds, map(line, common + apart), strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """All runs as arrays. design: [runs, coefficients] of a line. seconds: [runs].

    of_calls: [runs] variance of the seconds by calls alone.
    sizes: [runs] of all that was timed, 1 on average. members: [kinds, runs] 1 for the runs of a kind.
    Deviations are [1 + coefficients]: of a run of size 1 beyond what its calls make of it, and of the
    coefficients of kinds.
    """

    design: FloatArray
    seconds: FloatArray
    of_calls: FloatArray
    sizes: FloatArray
    members: FloatArray

    def likeliest(self) -> FloatArray:
        """Deviations of the largest restricted likelihood, between LEAST and MOST of that of all runs."""
        from scipy.optimize import minimize  # reading a record must not wait for it

        spread, count = float(self.seconds.std()), 1 + self.design.shape[1]

        def loss(logs: FloatArray) -> float:
            return self._loss(spread * np.exp(logs))

        found = [
            minimize(loss, np.full(count, np.log(begin)), bounds=[(np.log(LEAST), np.log(MOST))] * count)
            for begin in BEGINNINGS
        ]
        return spread * np.exp(min(found, key=lambda each: float(each.fun)).x)

    def predicted(self, deviations: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[coefficients] of the common line, and [kinds, coefficients] by which each kind's lies apart."""
        weights = np.linalg.inv(self._covariance(deviations))
        information = self.design.T @ weights @ self.design
        common = np.asarray(np.linalg.solve(information, self.design.T @ weights @ self.seconds), np.float64)
        left = weights @ (self.seconds - self.design @ common)
        apart = (self.members @ (left[:, None] * self.design)) * deviations[1:] ** 2
        return common, np.asarray(apart, np.float64)

    def _covariance(self, deviations: FloatArray) -> FloatArray:
        """[runs, runs] of the seconds."""
        alike = self.members.T @ self.members
        of_kinds = (self.design * deviations[1:] ** 2) @ self.design.T * alike
        return of_kinds + np.diag(self.of_calls + (deviations[0] * self.sizes) ** 2)

    def _loss(self, deviations: FloatArray) -> float:
        """Minus twice the logarithm of the restricted likelihood, but for a constant."""
        covariance = self._covariance(deviations)
        weighted = np.linalg.solve(covariance, np.column_stack([self.design, self.seconds]))
        information = self.design.T @ weighted[:, :-1]
        common = np.linalg.solve(information, self.design.T @ weighted[:, -1])
        left = weighted[:, -1] - weighted[:, :-1] @ common
        return float(
            np.linalg.slogdet(covariance)[1]
            + np.linalg.slogdet(information)[1]
            + (self.seconds - self.design @ common) @ left
        )
