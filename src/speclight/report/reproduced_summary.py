"""What many points of the papers' figures come to: means over data sets, lines, best trees and limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2, sqrt

import numpy as np

from speclight.experiments.papers.claims import log_growth_miss
from speclight.experiments.papers.figure_1 import DrafterPoint, line_fits
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.run import Reproduced
from speclight.experiments.papers.waterfall import SPECULATION, GapFactors
from speclight.report.markdown import markdown_table
from speclight.report.papers import fit_cells
from speclight.theory.catalogue import BY_NAME

READING = "lemma_7_printed"
LEFT_OUT = ("ngram", "model")  # one after the other


def drafter_means(found: Reproduced) -> str:
    """A row per temperature and drafter: means over data sets at the largest P, ranges of factors if known.

    The error of a mean is that of independent data sets, each with its error by prompt.
    """
    heads = [
        "drafter",
        "T",
        "tokens per call",
        "Lemma 7 as printed",
        "measured minus lemma",
        "coupling bound",
    ]
    if found.gaps:
        heads += ["Theorem 1 / drafter", SPECULATION, "share", "ln(P)/mu / Lemma 7"]
    return markdown_table(heads, [_mean_row(found, own) for own in _groups(found.points)])


def _groups(points: Sequence[DrafterPoint]) -> Iterator[list[DrafterPoint]]:
    for temperature, drafter in dict.fromkeys((point.temperature, point.drafter) for point in points):
        yield [point for point in points if (point.temperature, point.drafter) == (temperature, drafter)]


def _mean_row(found: Reproduced, own: Sequence[DrafterPoint]) -> list[str]:
    drafter, temperature = own[0].drafter, own[0].temperature
    measured = np.array([point.measured.value for point in own])
    lemma = np.array([point.readings[READING] for point in own])
    errors = [point.measured.standard_error for point in own]
    error = sqrt(sum(each**2 for each in errors if each is not None)) / len(own)
    return [
        drafter,
        f"{temperature:g}",
        f"{measured.mean():.2f}" if None in errors else f"{measured.mean():.2f} ± {error:.2f}",
        f"{lemma.mean():.2f}",
        f"{(measured - lemma).mean():+.2f}",
        f"{np.mean([point.coupling.value for point in own]):.2f}",
        *_factors([gap for gap in found.gaps if (gap.drafter, gap.temperature) == (drafter, temperature)]),
    ]


def _factors(gaps: Sequence[GapFactors]) -> list[str]:
    if not gaps:
        return []
    shares = [share for gap in gaps if (share := gap.speculation_share) is not None]
    return [
        _range([gap.whole for gap in gaps], ".1f"),
        _range([gap.factors[SPECULATION] for gap in gaps], ".1f"),
        _range(shares, ".0%"),
        _range([gap.limit_over_lemma for gap in gaps], ".1f"),
    ]


def figure_1_lines(found: Reproduced, seed: int = 0) -> str:
    """The line in Lemma 7 as printed by temperature: through all points, and with some drafters left out.

    spread: standard deviation between points of measured minus lemma. below: points whose lemma lies below
    what was measured. seed: of the interval of R².
    """
    heads = [
        "T",
        "drafters",
        "points",
        "slope",
        "intercept",
        "R²",
        "95% interval",
        "measured minus lemma",
        "spread",
        "below",
    ]
    cells = [
        _line_row(left_out, [point for point in kept if point.temperature == temperature], seed)
        for temperature in dict.fromkeys(point.temperature for point in found.points)
        for left_out, kept in _kept(found.points)
    ]
    return markdown_table(heads, cells)


def _kept(points: Sequence[DrafterPoint]) -> Iterator[tuple[str, list[DrafterPoint]]]:
    """All points, and those of fewer and fewer drafters, as far as there are such drafters."""
    yield "all", list(points)
    kept = list(points)
    for number, name in enumerate(LEFT_OUT):
        if any(point.drafter == name for point in kept):
            kept = [point for point in kept if point.drafter != name]
            yield f"without {' and '.join(LEFT_OUT[: number + 1])}", kept


def _line_row(name: str, points: Sequence[DrafterPoint], seed: int) -> list[str]:
    fit = line_fits(points, seed)[0]
    gaps = np.array([point.measured.value - point.readings[READING] for point in points])
    return [
        f"{fit.temperature:g}",
        name,
        *fit_cells(fit),
        f"{gaps.std():.2f}",
        f"{(gaps > 0.0).sum()} of {len(points)}",
    ]


def best_trees(found: Reproduced) -> str:
    """A row per data set and temperature: the best trees at the largest P, limits over them, their growth.

    Growth: tokens per call gained by a doubling of P, between the first two and the last two budgets; misses:
    by how much the least-squares line in ln P misses at the worst budget.
    """
    largest = found.panels[0].node_budgets[-1]
    heads = [
        "data",
        "T",
        f"best tree, P = {largest}",
        *(f"{BY_NAME[name].label} / best tree" for name in ("theorem_1", "two_moments", "ergodic_renewal")),
        "first doubling",
        "last doubling",
        "a line in ln P misses by",
    ]
    return markdown_table(heads, [_tree_row(panel) for panel in found.panels])


def _tree_row(panel: BudgetPanel) -> list[str]:
    best = panel.oracle[-1]
    error = "" if best.standard_error is None else f" ± {best.standard_error:.2f}"
    return [
        panel.data,
        f"{panel.temperature:g}",
        f"{best.value:.2f}{error}",
        *(
            f"{panel.at_largest(name) / best.value:.2f}"
            for name in ("theorem_1", "two_moments", "ergodic_renewal")
        ),
        f"{_per_doubling(panel, 0):+.2f}",
        f"{_per_doubling(panel, -2):+.2f}",
        f"{log_growth_miss(panel):.1%}",
    ]


def _per_doubling(panel: BudgetPanel, place: int) -> float:
    lower, upper = panel.node_budgets[place], panel.node_budgets[place + 1]
    return (panel.oracle[place + 1].value - panel.oracle[place].value) / log2(upper / lower)


def _range(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}" if values else "–"
