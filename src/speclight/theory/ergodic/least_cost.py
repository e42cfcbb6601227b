"""The least that any decode of sampled texts can cost, when a call's cost depends on the size of its tree.

A call with a tree of k nodes costs T(k). Whatever the drafting policy, as long as its trees are functions of
the text so far, the sum Y of e^(S_j) over the nodes on the text's path has E[Y | before the call] = |tree|
(many-to-one). So for every line alpha + beta k <= T(k)

    E[cost of the decode] >= E[sum over its calls of (alpha + beta Y)] >= E[cost of the cheapest cut],

the cheapest among all cuts of the text into calls (`segments`). Any line is valid, hence also one chosen on
other prompts: the multiplier beta of a prompt is the one that is best on the prompts of the other folds.
docs/theory/decode.md and docs/theory/seconds.md have the proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.seeds import stream
from speclight.theory.bisection import increasing_root
from speclight.theory.ergodic.bootstrap import ratio_standard_error, resample_prompts
from speclight.theory.ergodic.folds import prompt_folds
from speclight.theory.ergodic.segments import TextArrays, cheapest_segments

# The bound is flat at its best multiplier: missing it by a thousandth moves the bound by some 1e-6.
MULTIPLIER_RTOL = 1e-3
SMALLEST_SHARE = 1e-12  # of the largest multiplier; smaller ones belong to targets of 27 nats a token


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class SizeCosts:
    """What a call costs by the size of its tree, interpolated between the sizes given.

    sizes: [sizes] nodes, increasing, >= 1; larger trees are not possible. costs: [sizes] > 0, in any unit.
    Neither convex nor monotone costs are assumed. Raises InvalidInput if any of this does not hold.
    """

    sizes: IntArray
    costs: FloatArray

    def __post_init__(self) -> None:
        sizes, costs = np.array(self.sizes, dtype=np.int64), np.array(self.costs, dtype=np.float64)
        shapes_fit = sizes.ndim == 1 and len(sizes) > 0 and sizes.shape == costs.shape
        if not (shapes_fit and sizes[0] >= 1 and (np.diff(sizes) > 0).all()):
            raise InvalidInput(
                f"costs of calls need increasing tree sizes >= 1 and one cost for each, got sizes "
                f"{sizes.tolist()} and {costs.size} costs"
            )
        if not (np.isfinite(costs) & (costs > 0.0)).all():
            raise InvalidInput(f"the costs of calls must be finite and > 0, got {costs.tolist()}")
        for name, array in (("sizes", sizes), ("costs", costs)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def largest(self) -> int:
        """Nodes of the largest tree."""
        return int(self.sizes[-1])

    @property
    def largest_multiplier(self) -> float:
        """The largest beta whose line has alpha >= 0: the least cost per node."""
        return float((self.costs / self.sizes).min())

    def line(self, multiplier: float) -> tuple[float, int]:
        """The largest alpha with alpha + multiplier k <= T(k) everywhere, and the k where they meet."""
        gaps = self.costs - multiplier * self.sizes
        place = int(gaps.argmin())
        return max(float(gaps[place]), 0.0), int(self.sizes[place])


def of_fixed_budget(node_budget: int) -> SizeCosts:
    """One per call with up to P nodes: the cost is the number of calls."""
    return SizeCosts(np.array([node_budget]), np.ones(1))


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class LeastCost:
    """The cheapest cuts of all texts, each prompt charged by a line chosen on other prompts.

    tokens, costs: [prompts] sums over its texts. last_calls: [prompts] what the last calls of its cut texts
    are charged for being calls. multipliers: [folds] the beta of each.
    """

    tokens: FloatArray
    costs: FloatArray
    last_calls: FloatArray
    multipliers: FloatArray


@dataclass(frozen=True, slots=True)
class UpperEstimate:
    """An estimate of an upper bound. upper: its upper confidence limit, one-sided at `level`.

    standard_error: clustered by prompt; it and `upper` are NaN with a single prompt.
    """

    value: float
    standard_error: float
    upper: float
    level: float


def least_cost(
    texts: TextArrays, costs: SizeCosts, longest: int, surcharge: FloatArray | None = None
) -> LeastCost:
    """The cheapest cuts of all texts into calls, each prompt charged by a line chosen on other prompts.

    longest: most tokens of one call. surcharge: [tokens] what a call that begins there costs on top.
    """
    extra = np.zeros(len(texts.growth)) if surcharge is None else surcharge
    tokens = texts.by_prompt(texts.tokens)
    totals, last_calls = np.zeros(texts.prompt_count), np.zeros(texts.prompt_count)
    multipliers: list[float] = []
    for mine, chosen_on in prompt_folds(texts.prompts, texts.prompt_count):
        beta = _best_multiplier(texts, costs, longest, extra, chosen_on)
        alpha = costs.line(beta)[0] + extra
        cut = cheapest_segments(texts, alpha, beta, longest)
        # The tail of a cut text goes on in a call whose own charge may belong to what follows.
        last = np.where(texts.cut, alpha[texts.begins[1:] - 1], 0.0)
        totals += texts.by_prompt(np.where(mine, cut.cost, 0.0))
        last_calls += texts.by_prompt(np.where(mine, last, 0.0))
        multipliers.append(beta)
    return LeastCost(tokens, totals, last_calls, np.array(multipliers))


def upper_estimate(
    tokens: FloatArray, costs: FloatArray, most: float, replicas: int, seed: int, level: float
) -> UpperEstimate:
    """Total tokens over total costs, [prompts] each, at most `most`; prompts resampled for the limit.

    Raises InvalidInput for a level outside (0, 1) or replicas < 1.
    """
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"the level must lie between 0 and 1, got {level}")
    # Costs vanish where text is certain; then `most` is all that is known.
    value = float(tokens.sum() / max(costs.sum(), tokens.sum() / most))
    if len(tokens) == 1:
        return UpperEstimate(value, float("nan"), float("nan"), level)
    draws = resample_prompts(len(tokens), replicas, stream(seed)).astype(np.float64)
    drawn = draws @ tokens
    upper = float(np.quantile(drawn / np.maximum(draws @ costs, drawn / most), level))
    error = ratio_standard_error(tokens, costs) if value < most else 0.0
    return UpperEstimate(value, error, upper, level)


def _best_multiplier(
    texts: TextArrays,
    costs: SizeCosts,
    longest: int,
    surcharge: FloatArray,
    chosen_on: BoolArray,
) -> float:
    """The beta whose cheapest cuts cost most. The total is concave in beta, so its slope changes sign once.

    Its slope at beta is the sum of Y less k times the number of calls, k where the line meets T.
    """
    largest = costs.largest_multiplier

    def falling(log_beta: float) -> float:
        alpha, size = costs.line(exp(log_beta))
        found = cheapest_segments(texts, alpha + surcharge, exp(log_beta), longest)
        return float(size * found.calls[chosen_on].sum() - found.sizes[chosen_on].sum())

    return exp(increasing_root(falling, log(largest * SMALLEST_SHARE), log(largest), MULTIPLIER_RTOL))
