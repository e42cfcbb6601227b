"""What arXiv 2512.11718v1 claims, and what the experiments say to it: a verdict, and the numbers behind it.

The rules of the verdicts are fixed below, before any number is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from speclight.experiments.papers.call_times import MeasuredTimes
from speclight.experiments.papers.figure_1 import LineFit
from speclight.experiments.papers.figure_2 import BudgetPanel
from speclight.experiments.papers.other_targets import SizePair
from speclight.experiments.papers.published import TABLE_1
from speclight.experiments.papers.table_1 import MeasuredMoments
from speclight.experiments.papers.waterfall import GapFactors

# Growth is called logarithmic where a line in ln P misses no budget by more than this share.
LOG_GROWTH_TOLERANCE = 0.05
# The lemma is called near linear where a line explains this much of the spread, with its whole interval.
NEAR_LINEAR = 0.9
# A bound is called close where it is within this factor of the best tree.
CLOSE = 1.25
# A call is called as long as one of a single position, and drafting free, up to this share of it.
FREE = 0.1


class Verdict(StrEnum):
    """What the measurements say to a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    MIXED = "holds on some data, not on others"
    UNDECIDED = "not decided"
    OUT_OF_REACH = "out of reach here"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. rule: when it is called confirmed. evidence: the numbers, in words."""

    claim: str
    rule: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the claims are judged by; empty, or None, where it was not measured."""

    moments: tuple[MeasuredMoments, ...] = ()
    sizes: tuple[SizePair, ...] = ()
    fits: tuple[LineFit, ...] = ()
    panels: tuple[BudgetPanel, ...] = ()
    gaps: tuple[GapFactors, ...] = ()
    times: MeasuredTimes | None = None


def judged_claims(found: Evidence) -> tuple[Claim, ...]:
    """A verdict for each claim; what was not measured is out of reach."""
    return (
        _log_growth(found.panels),
        _larger_is_surer(found.sizes),
        _near_linear(found.fits),
        _gap(found.gaps),
        _close(found.panels),
        _constant_time(found.times),
        _free_drafting(found.times),
        _independent(found.moments),
    )


def _overall(holds: Sequence[bool]) -> Verdict:
    if not holds:
        return Verdict.OUT_OF_REACH
    return Verdict.CONFIRMED if all(holds) else Verdict.MIXED if any(holds) else Verdict.REFUTED


def log_growth_miss(panel: BudgetPanel) -> float:
    """By which share of the best trees the least-squares line in ln P misses them, at the worst budget."""
    logs = np.log(panel.node_budgets)
    values = np.array([estimate.value for estimate in panel.oracle])
    slope, intercept = np.polyfit(logs, values, 1)
    return float(np.abs((intercept + slope * logs) / values - 1.0).max())


def _log_growth(panels: Sequence[BudgetPanel]) -> Claim:
    misses = [log_growth_miss(panel) for panel in panels if len(panel.node_budgets) > 2]
    return Claim(
        "The best tokens per call grow with ln P.",
        f"a line in ln P is within {LOG_GROWTH_TOLERANCE:.0%} of the best trees at every budget measured",
        _overall([miss <= LOG_GROWTH_TOLERANCE for miss in misses]),
        f"largest deviation by data set and temperature: {_range(misses, '.1%')}" if misses else _NOTHING,
    )


def _larger_is_surer(pairs: Sequence[SizePair]) -> Claim:
    of = {(row.target, row.data): row.mu for row in TABLE_1 if row.data != "mean"}
    data = [data for target, data in of if target == "Llama-3.3-70B"]
    lower = sum(of["Llama-3.3-70B", name] < of["Llama-3.1-8B", name] for name in data)
    told = [
        f"{pair.larger} against {pair.smaller}: lower on {pair.lower}, higher on {pair.higher}, undecided on "
        f"{pair.undecided} data sets"
        for pair in pairs
    ]
    published = f"in the paper's own Table 1 the 70B model's is lower on {lower} of {len(data)} data sets"
    holds = [decided for pair in pairs for decided in [True] * pair.lower + [False] * pair.higher]
    return Claim(
        "A larger model has a lower mu.",
        "of every two targets the larger one's mu is lower wherever the 95% interval of their difference "
        "decides; tokens differ between families",
        Verdict.UNDECIDED if pairs and not holds else _overall(holds),
        "; ".join([*(told or ["one target was measured"]), published]),
    )


def _near_linear(fits: Sequence[LineFit]) -> Claim:
    printed = [fit for fit in fits if fit.reading == "lemma_7_printed" and fit.low is not None]
    holds = [fit.low is not None and fit.low >= NEAR_LINEAR for fit in printed]
    fails = [fit.high is not None and fit.high < NEAR_LINEAR for fit in printed]
    verdict = _overall(holds)
    if printed and not any(holds) and not all(fails):
        verdict = Verdict.UNDECIDED
    told = "; ".join(
        f"T = {fit.temperature:g}: R² = {fit.r_squared:.2f} ({fit.low:.2f} to {fit.high:.2f}), "
        f"{fit.points} points, measured minus lemma {fit.mean_gap:+.2f}"
        for fit in printed
    )
    return Claim(
        "Tokens per call are near linear in Lemma 7, a constant below it missing.",
        f"the 95% interval of R² lies above {NEAR_LINEAR}",
        verdict,
        told or _NOTHING,
    )


def _gap(gaps: Sequence[GapFactors]) -> Claim:
    """The factor between the paper's Theorem 1 and a drafter, taken apart at the largest budget."""
    shares = [share for gap in gaps if (share := gap.speculation_share) is not None]
    told = [_told(drafter, [gap for gap in gaps if gap.drafter == drafter]) for drafter in _drafters(gaps)]
    lemma = _range([gap.limit_over_lemma for gap in gaps], ".1f") if gaps else ""
    return Claim(
        "The gap between bound and drafter is a factor of about 2, and speculation error.",
        "more than half of the logarithm of (Theorem 1 / drafter) is (best tree / drafter)",
        _overall([share > 0.5 for share in shares]),
        "Theorem 1 over drafter, and which share of its logarithm is speculation error, over data sets and "
        f"temperatures: {'; '.join(told)}. ln(P)/mu over Lemma 7: {lemma}"
        if told
        else _NOTHING,
    )


def _drafters(gaps: Sequence[GapFactors]) -> list[str]:
    return list(dict.fromkeys(gap.drafter for gap in gaps))


def _told(drafter: str, gaps: Sequence[GapFactors]) -> str:
    shares = [share for gap in gaps if (share := gap.speculation_share) is not None]
    return f"{drafter} {_range([gap.whole for gap in gaps], '.1f')}" + (
        f" ({_range(shares, '.0%')})" if shares else ""
    )


def _close(panels: Sequence[BudgetPanel]) -> Claim:
    ratios = [panel.at_largest("theorem_1") / panel.oracle[-1].value for panel in panels]
    return Claim(
        "Theorem 1 is close to what is possible.",
        f"it is within a factor of {CLOSE} of the best tree at the largest budget",
        _overall([ratio <= CLOSE for ratio in ratios]),
        f"Theorem 1 over best tree: {_range(ratios, '.2f')}" if ratios else _NOTHING,
    )


def _constant_time(times: MeasuredTimes | None) -> Claim:
    told = _NOTHING
    if times is not None:
        calls = ", ".join(f"T({size}) = {growth:.2f} T(1)" for size, growth in times.growth.items())
        told = f"{times.target}, {times.context_tokens} context tokens: {calls}"
    return Claim(
        "A call takes the same time whatever P is (Assumption 1).",
        f"every timed T(P) up to the largest P is within {FREE:.0%} of T(1)",
        _overall([] if times is None else [max(times.growth.values()) - 1.0 <= FREE]),
        told,
    )


def _free_drafting(times: MeasuredTimes | None) -> Claim:
    drafting = {} if times is None else times.drafting
    told = ", ".join(f"{name} {share:.1%}" for name, share in drafting.items())
    return Claim(
        "Drafting takes no time (Assumption 1).",
        f"a drafter's first call takes at most {FREE:.0%} of T(1); every further level costs again",
        _overall([share <= FREE for share in drafting.values()]),
        f"a first drafting call over T(1): {told}" if told else _NOTHING,
    )


def _independent(moments: Sequence[MeasuredMoments]) -> Claim:
    holds = [row.neighbours.low is not None and row.neighbours.low <= 0.0 for row in moments]
    return Claim(
        "Contexts can be taken as independent draws (Assumption 2).",
        "the surprisals of neighbouring tokens have no correlation that the 95% interval can tell from 0",
        _overall(holds),
        f"correlation: {_range([row.neighbours.value for row in moments], '.2f')}" if moments else _NOTHING,
    )


_NOTHING = "not measured"


def _range(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"
