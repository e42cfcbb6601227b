"""What the limits test claims, split so that each part has its own error: estimator, Jensen, prompts, decode.

At one node budget P and a level t of surprisal, a context with tree {v} has the dual value P e^-t + sum over
depths below P of (P(v) - e^-t)^+: its mean over contexts, at the level that makes it smallest, is what the
ergodic renewal bound estimates. Its surplus over the mean best E[X] is Jensen's gap; what
continuations estimate it to be differs from it by sampling alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from scipy import stats

from speclight.arrays import BoolArray, FloatArray
from speclight.measure.estimates import CONFIDENCE, Estimate, half_width, ratio_of_totals
from speclight.measure.oracle_decode import OracleCall
from speclight.measure.paired_contexts import BEYOND, PairedContext
from speclight.seeds import stream
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.ergodic.trace_walk import over_walk, trace_walk
from speclight.theory.laws.sampled_text import SampledText

LEVELS = 400  # tried for t: the dual value is flat at its minimum


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class DualValues:
    """At one P, [contexts] each: best E[X], exact dual value, the estimated one, E[X] of seen trees.

    lowered: 1 where the searched tree does not reach the common level, else 0.
    """

    best: FloatArray
    exact: FloatArray
    estimated: FloatArray
    seen: FloatArray
    lowered: FloatArray


@dataclass(frozen=True, slots=True)
class SplitClaim:
    """Parts of the error at one P, as shares of the best E[X], 95% intervals clustered by prompt.

    family, temperature: of a cell; "all" and None pooled over the cells, equally weighted, a prompt's
    temperatures in one cluster. best: mean best E[X]. estimator: estimated less exact dual value, 0 in the
    mean. jensen: exact dual value less the best E[X]. seen: what seen trees reach of it. lowered: share of
    contexts whose searched tree ends below the common level, where Jensen's gap is understated.
    """

    family: str
    temperature: float | None
    node_budget: int
    contexts: int
    best: float
    estimator: Estimate
    jensen: Estimate
    seen: Estimate
    lowered: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often a limit from one half of the prompts agrees with the other half's within its 95% interval.

    splits: halvings looked at, all cells together. covered: share of them.
    """

    node_budget: int
    splits: int
    covered: float


@dataclass(frozen=True, slots=True)
class DecodeClaim:
    """Decode level, all on the same texts held to the same length: ratios to what the oracle decode reached.

    bound: the decode bound's, walk: the trace walk's, 95% intervals paired by prompt. bound_over_walk: their
    own ratio.
    """

    family: str
    temperature: float
    node_budget: int
    texts: int
    oracle: float
    bound: Estimate
    walk: Estimate
    bound_over_walk: float


def dual_values(contexts: Sequence[PairedContext], node_budgets: Sequence[int], place: int) -> DualValues:
    """Values at node_budgets[place], at the one level that makes the mean estimated dual value smallest.

    At a context whose searched tree does not reach that level, both are taken at the level of its last node.
    """
    budget = node_budgets[place]
    levels = np.linspace(0.0, log(budget) + BEYOND, LEVELS)
    means = np.mean([_estimated(context, budget, levels) for context in contexts], axis=0)
    level = float(levels[means.argmin()])
    reached = np.array([min(level, _highest(context)) for context in contexts])
    pairs = list(zip(contexts, reached.tolist(), strict=True))
    return DualValues(
        best=np.array([float(np.exp(context.path_log_probs[:budget]).sum()) for context in contexts]),
        exact=np.array([_exact(context, budget, own) for context, own in pairs]),
        estimated=np.array(
            [float(_estimated(context, budget, np.array([own]))[0]) for context, own in pairs]
        ),
        seen=np.array([float(context.seen[place]) for context in contexts]),
        lowered=(reached < level).astype(np.float64),
    )


def claim_of_cell(
    family: str, temperature: float, budget: int, contexts: Sequence[PairedContext], values: DualValues
) -> SplitClaim:
    """The parts of the error in one cell."""
    prompts = [context.prompt_id for context in contexts]
    return _claim(family, temperature, budget, prompts, values, np.ones(len(contexts)))


def pooled_claim(budget: int, cells: Sequence[tuple[str, Sequence[PairedContext], DualValues]]) -> SplitClaim:
    """The parts of the error over all cells (family, contexts, values), each cell with the same weight."""
    prompts = [f"{family}/{context.prompt_id}" for family, contexts, _ in cells for context in contexts]
    weights = np.concatenate(
        [np.full(len(contexts), 1.0 / values.best.sum()) for _, contexts, values in cells]
    )
    together = DualValues(
        *(
            np.concatenate([getattr(values, name) for *_, values in cells])
            for name in ("best", "exact", "estimated", "seen", "lowered")
        )
    )
    return _claim("all", None, budget, prompts, together, weights)


def coverage(
    budget: int,
    cells: Sequence[tuple[dict[str, str], Sequence[PairedContext], DualValues]],
    splits: int,
    seed: int,
) -> Coverage:
    """Halve the prompts again and again, and hold one half's estimate against the other half's best E[X].

    cells: (category of each prompt, contexts, values). Jensen's gap of the cell is taken out of the estimate,
    so that nothing but the prompts (and the continuations) tells the halves apart.
    """
    covered = [
        _covers(contexts, values, _half(categories, contexts, seed, number, split))
        for number, (categories, contexts, values) in enumerate(cells)
        for split in range(splits)
    ]
    return Coverage(budget, len(covered), float(np.mean(covered)))


def decode_claim(
    family: str,
    temperature: float,
    budget: int,
    texts: Sequence[SampledText],
    calls: Sequence[OracleCall],
    tokens: int,
) -> DecodeClaim:
    """The decode bound and the trace walk against an oracle decode of the same texts.

    texts: one of each prompt. calls: of the oracle decode, at this P, starting before position `tokens`.
    """
    made = {name: 0 for name in dict.fromkeys(call.prompt_id for call in calls)}
    for call in calls:
        made[call.prompt_id] += 1
    decoded = [cut_at(text, tokens) for text in texts if text.prompt_id in made]
    counts = np.array([made[text.prompt_id] for text in decoded], dtype=np.float64)
    prompts = [text.prompt_id for text in decoded]
    bound, walk = decode_bound(decoded, budget), trace_walk(decoded, budget)
    reached = sum(len(text) for text in decoded) / float(counts.sum())
    # Tokens are the same on both sides: the ratio is that of calls.
    of_bound = ratio_of_totals(prompts, counts.tolist(), bound.costs.tolist())
    error, share = ratio_standard_error(counts, walk.priced_calls), walk.held / reached
    half = half_width(error, len(decoded))
    return DecodeClaim(
        family,
        temperature,
        budget,
        len(decoded),
        reached,
        of_bound,
        Estimate(share, error, share - half, share + half, len(decoded)),
        over_walk(bound, walk).value,
    )


def cut_at(text: SampledText, tokens: int) -> SampledText:
    """The first `tokens` tokens, as if made under that length limit."""
    kept = min(len(text), tokens)
    return SampledText(
        text.surprisals[:kept],
        text.ended and kept == len(text),
        text.prompt_id,
        length_limit=tokens,
    )


def _claim(
    family: str,
    temperature: float | None,
    budget: int,
    prompts: list[str],
    values: DualValues,
    weights: FloatArray,
) -> SplitClaim:
    best = (weights * values.best).tolist()

    def share(numerators: FloatArray) -> Estimate:
        return ratio_of_totals(prompts, (weights * numerators).tolist(), best)

    return SplitClaim(
        family,
        temperature,
        budget,
        len(prompts),
        float(values.best.mean()),
        share(values.estimated - values.exact),
        share(values.exact - values.best),
        share(values.seen),
        float(values.lowered.mean()),
    )


def _exact(context: PairedContext, budget: int, level: float) -> float:
    """The dual value of the searched tree."""
    floor = float(np.exp(-level))
    chances = np.exp(context.path_log_probs[context.depths < budget])
    return budget * floor + float(np.maximum(chances - floor, 0.0).sum())


def _estimated(context: PairedContext, budget: int, levels: FloatArray) -> FloatArray:
    """[levels] the same from the continuations: the mean over them of the sum of (1 - e^(S_d - t))^+."""
    sums = np.concatenate([np.append(0.0, each[: budget - 1]) for each in context.sums])
    gains = np.maximum(-np.expm1(np.minimum(sums - levels[:, None], 0.0)), 0.0).sum(axis=1)
    return budget * np.exp(-levels) + gains / len(context.sums)


def _highest(context: PairedContext) -> float:
    """V of the last node searched: up to there all nodes are known."""
    return float(-context.path_log_probs[-1])


def _half(
    categories: dict[str, str], contexts: Sequence[PairedContext], seed: int, cell: int, split: int
) -> BoolArray:
    """[contexts] whether the context's prompt is in the first half; each category is halved."""
    rng = stream(seed, cell, split)
    prompts = list(dict.fromkeys(context.prompt_id for context in contexts))
    first: set[str] = set()
    for category in dict.fromkeys(categories[prompt] for prompt in prompts):
        members = [prompt for prompt in prompts if categories[prompt] == category]
        # Of an odd number the one left over goes to either half.
        size = (len(members) + int(rng.integers(2))) // 2
        first |= {members[place] for place in rng.permutation(len(members))[:size]}
    return np.array([context.prompt_id in first for context in contexts])


def _covers(contexts: Sequence[PairedContext], values: DualValues, first: BoolArray) -> bool:
    prompts = np.unique([context.prompt_id for context in contexts], return_inverse=True)[1]
    gap = float(values.exact.mean() / values.best.mean())
    means, errors, counts = [], [], []
    for inside, numbers in ((first, values.estimated / gap), (~first, values.best)):
        totals = np.bincount(prompts[inside], numbers[inside], minlength=prompts.max() + 1).astype(np.float64)
        sizes = np.bincount(prompts[inside], minlength=prompts.max() + 1).astype(np.float64)
        means.append(float(totals.sum() / sizes.sum()))
        errors.append(ratio_standard_error(totals, sizes))
        counts.append(int((sizes > 0).sum()))
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, sum(counts) - 2))
    return abs(means[0] - means[1]) <= quantile * sqrt(errors[0] ** 2 + errors[1] ** 2)
