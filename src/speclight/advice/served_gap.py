"""A deployment's tokens per step, as its engine reports them, beside the limits of the model it serves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isnan

from speclight.engines.reports.record import SpeculationReport
from speclight.errors import InvalidInput
from speclight.theory.ergodic.certificates import LowerEstimate, certified_decode
from speclight.theory.ergodic.chains import ChainLimits, chain_limits
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.least_cost import UpperEstimate
from speclight.theory.laws.sampled_text import SampledText

LONGEST = re.compile(r"\bK = (\d+)")
NODES = re.compile(r"\bP = (\d+)")


@dataclass(frozen=True, slots=True)
class ServedGap:
    """One report of an engine beside limits at as many nodes, all in tokens per target call.

    emitted: tokens per step; over_all_steps: whether steps without a draft count, as they do in the limits.
    drafted: K, tokens drafted in a step. chains: limits with chains of K. tree_certified, tree_limit: what a
    decode with trees of K + 1 nodes certifiably reaches, and what none exceeds.
    """

    report: SpeculationReport
    emitted: float
    over_all_steps: bool
    drafted: int
    chains: ChainLimits
    tree_certified: LowerEstimate
    tree_limit: UpperEstimate

    @property
    def sentence(self) -> str:
        """What it emits, what chains of as many tokens could, and what trees could."""
        label = f" ({self.report.label})" if self.report.label else ""
        which = "step" if self.over_all_steps else "step that had a draft"
        chain = self.chains.upper
        return (
            f"{self.report.engine}{label} emits {self.emitted:.2f} tokens per {which} with {self.drafted} "
            f"drafted tokens. No chains of {self.drafted} emit more than {_upper(chain)} of this model, "
            f"{self.chains.certified.value:.2f} are certain; with trees of the same {self.drafted + 1} nodes "
            f"none emits more than {_upper(self.tree_limit)}, and {self.tree_certified.value:.2f} are "
            f"certain. It reaches {100 * self.emitted / chain.value:.0f}% of the chain limit and "
            f"{100 * self.emitted / self.tree_limit.value:.0f}% of the tree limit."
        )


def served_gap(
    report: SpeculationReport, texts: Sequence[SampledText], drafted: int | None = None
) -> ServedGap:
    """A report beside the limits of texts sampled from the same model, on the same sort of prompts.

    drafted: K; what the report says of it if None. Raises InvalidInput for a report without tokens per step,
    or one that does not tell K.
    """
    counts = report.counts
    per_step = None if counts is None else counts.tokens_per_step
    emitted = report.tokens_per_draft if per_step is None else per_step
    if emitted is None:
        raise InvalidInput(
            f"the report of {report.engine} ({report.source}) holds no tokens per step, expected counts or a "
            "mean acceptance length; import metrics or a log in which drafts were verified"
        )
    count = _drafted(report) if drafted is None else drafted
    return ServedGap(
        report=report,
        emitted=emitted,
        over_all_steps=per_step is not None,
        drafted=count,
        chains=chain_limits(texts, count),
        tree_certified=certified_decode(texts, count + 1),
        tree_limit=decode_bound(texts, count + 1).going_on,
    )


def _drafted(report: SpeculationReport) -> int:
    """The most tokens that a step drafts, from counts by position, the label, or the mean, in this order."""
    if report.counts is not None and report.counts.accepted_at:
        return len(report.counts.accepted_at)
    if found := LONGEST.search(report.label):
        return int(found[1])
    if found := NODES.search(report.label):
        return int(found[1]) - 1
    if report.counts is not None and report.counts.drafted and report.counts.drafts:
        return ceil(report.counts.drafted / report.counts.drafts)
    raise InvalidInput(
        f"the report of {report.engine} ({report.source}) does not say how many tokens a step drafts, "
        "expected counts by position or K; give the number",
        argument="drafted",
    )


def _upper(estimate: UpperEstimate) -> str:
    """An upper bound with its upper confidence limit."""
    if isnan(estimate.upper):
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} (at most {estimate.upper:.2f} at {100 * estimate.level:.0f}% confidence)"
