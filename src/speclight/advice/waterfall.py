"""Where the speed of a measured run goes: factors from the decode bound down to what was measured.

Every factor is a ratio of totals over the run's own calls, so that their product telescopes to the measured
speed-up over plain decoding, exactly. Values of trees are exact at each call start (Lemma 1 of arXiv
2512.11718v1); the order of the factors is ours (docs/theory/waterfall.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np

from speclight.advice.products_of_totals import ProductOfTotals
from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate

FactorName = Literal[
    "decode_bound",
    "call_starts",
    "knowledge",
    "shape",
    "rule",
    "luck",
    "end",
    "call_time",
    "drafting",
    "loop",
]
FACTOR_NAMES: tuple[FactorName, ...] = get_args(FactorName)


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class PhaseTotals:
    """[prompts] calls of each prompt, every round, and their seconds.

    target: of the target's passes. draft: of drafting. loop: of verifying, committing and all else.
    """

    calls: FloatArray
    target: FloatArray
    draft: FloatArray
    loop: FloatArray

    @property
    def seconds(self) -> FloatArray:
        """[prompts] all of it."""
        return self.target + self.draft + self.loop


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class RunTotals:
    """A decoded run, summed by prompt; [prompts] each.

    bound_tokens, bound_calls: tokens, and the fewest calls in which any decode with trees of P nodes emits
    them (`DecodeBound`). starts: calls at whose starts trees were valued; sums over those starts of expected
    tokens: oracle, of the target's best tree of P nodes; best, of the P nodes most probable under the
    drafter; tree, of the tree used; rule, of that tree under the rule used. accepted: accepted drafts, and
    one a call, before a limit or an end cuts any off. emitted: tokens that are left. drafted, plain: what
    the calls took; a plain call emits one token, and its drafting counts to its loop.
    Raises InvalidInput for arrays of different lengths, negative entries, and totals of zero where a factor
    divides by them.
    """

    prompt_ids: tuple[str, ...]
    bound_tokens: FloatArray
    bound_calls: FloatArray
    starts: FloatArray
    oracle: FloatArray
    best: FloatArray
    tree: FloatArray
    rule: FloatArray
    accepted: FloatArray
    emitted: FloatArray
    drafted: PhaseTotals
    plain: PhaseTotals

    def __post_init__(self) -> None:
        needed = {name: getattr(self, name) for name in _SUMS}
        needed |= {"drafted calls": self.drafted.calls, "drafted target seconds": self.drafted.target}
        needed |= {"plain calls": self.plain.calls, "plain target seconds": self.plain.target}
        others = (self.drafted.draft, self.drafted.loop, self.plain.draft, self.plain.loop)
        for name, array in needed.items():
            if not np.sum(array) > 0.0:
                raise InvalidInput(
                    f"a waterfall divides by {name}, which sum to {np.sum(array)}, expected more than 0; "
                    "give a run with at least one call and one token"
                )
        for array in (*needed.values(), *others):
            if np.shape(array) != (len(self.prompt_ids),) or not (np.asarray(array) >= 0.0).all():
                raise InvalidInput(
                    f"a run of {len(self.prompt_ids)} prompts needs as many totals >= 0 of each sort, got "
                    f"{np.asarray(array).tolist()}; sum over all calls of a prompt"
                )


_SUMS = ("bound_tokens", "bound_calls", "starts", "oracle", "best", "tree", "rule", "accepted", "emitted")


@dataclass(frozen=True, slots=True)
class Factor:
    """One step down from the limit to what was measured.

    value: the ratio, with its interval; the first one is the decode bound itself, tokens per call.
    tokens_per_second: what is left behind this step, plain decoding's speed times the product so far.
    without: tokens per second of the run if this factor were 1 and the others stayed; of the bound, which
    nothing can win back, the run's own.
    """

    name: FactorName
    value: Estimate
    tokens_per_second: Estimate
    without: float


@dataclass(frozen=True, slots=True)
class CallMeans:
    """Means over calls, totals over totals: tokens of each sort as in `RunTotals`, and seconds by phase."""

    oracle: float
    best: float
    tree: float
    rule: float
    accepted: float
    emitted: float
    target_seconds: float
    draft_seconds: float
    loop_seconds: float
    plain_target_seconds: float
    plain_loop_seconds: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The factors in order, from the limit down; their product is the speed-up.

    speed_up: tokens per second over those of plain decoding, totals over totals. means: of a call.
    """

    factors: tuple[Factor, ...]
    speed_up: Estimate
    tokens_per_second: float
    plain_tokens_per_second: float
    means: CallMeans

    @property
    def limit_tokens_per_second(self) -> Estimate:
        """The decode bound at the pace of plain calls: what no deterministic drafting exceeds at this P."""
        return self.factors[0].tokens_per_second

    def of(self, name: FactorName) -> Factor:
        """The factor of that name."""
        return self.factors[FACTOR_NAMES.index(name)]


def waterfall(run: RunTotals) -> Waterfall:
    """The waterfall of a run. Intervals are None for a single prompt."""
    plain_speed = float(run.plain.calls.sum() / run.plain.seconds.sum())
    ratios = _ratios(run)
    levels = list(accumulate(ratios, lambda so_far, ratio: so_far * ratio))
    speed_up = ProductOfTotals((run.emitted, run.plain.seconds), (run.drafted.seconds, run.plain.calls))
    speed = speed_up.value * plain_speed
    factors = tuple(
        Factor(
            name,
            ratio.estimate(),
            level.estimate(plain_speed),
            speed if name == "decode_bound" else speed / ratio.value,
        )
        for name, ratio, level in zip(FACTOR_NAMES, ratios, levels, strict=True)
    )
    return Waterfall(factors, speed_up.estimate(), speed, plain_speed, _means(run))


def _means(run: RunTotals) -> CallMeans:
    starts, drafted, plain = run.starts.sum(), run.drafted, run.plain
    calls, plain_calls = drafted.calls.sum(), plain.calls.sum()
    return CallMeans(
        oracle=float(run.oracle.sum() / starts),
        best=float(run.best.sum() / starts),
        tree=float(run.tree.sum() / starts),
        rule=float(run.rule.sum() / starts),
        accepted=float(run.accepted.sum() / calls),
        emitted=float(run.emitted.sum() / calls),
        target_seconds=float(drafted.target.sum() / calls),
        draft_seconds=float(drafted.draft.sum() / calls),
        loop_seconds=float(drafted.loop.sum() / calls),
        plain_target_seconds=float(plain.target.sum() / plain_calls),
        plain_loop_seconds=float((plain.draft + plain.loop).sum() / plain_calls),
    )


def _ratios(run: RunTotals) -> Sequence[ProductOfTotals]:
    """The factors in the order of FACTOR_NAMES; what stands below in one stands above in the next."""
    drafted, plain = run.drafted, run.plain
    with_drafting = drafted.target + drafted.draft
    return (
        ProductOfTotals((run.bound_tokens,), (run.bound_calls,)),
        ProductOfTotals((run.oracle, run.bound_calls), (run.starts, run.bound_tokens)),
        ProductOfTotals((run.best,), (run.oracle,)),
        ProductOfTotals((run.tree,), (run.best,)),
        ProductOfTotals((run.rule,), (run.tree,)),
        ProductOfTotals((run.accepted, run.starts), (drafted.calls, run.rule)),
        ProductOfTotals((run.emitted,), (run.accepted,)),
        ProductOfTotals((plain.target, drafted.calls), (plain.calls, drafted.target)),
        ProductOfTotals((drafted.target,), (with_drafting,)),
        ProductOfTotals((with_drafting, plain.seconds), (drafted.seconds, plain.target)),
    )
