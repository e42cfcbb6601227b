"""The decode bound: the most tokens per call that any decode of a target can average, wherever calls start.

Ours. Bounds at a start law (`ergodic.bound`) bound E[X] where calls begin as that law says; a decode begins
its calls where the last one ended, and may choose trees so as to begin them well. Here nothing is assumed
of where calls start: for every lambda >= 0

    E[calls] >= E[min over cuts of the text into calls of sum over calls (1 - lambda P + lambda Y)],

Y = sum_{j<X} e^(S_j) along the call (`least_cost`, with T(k) = 1 for k <= P). Sampled log-probabilities are
enough. Proof and the two ways to count the call that a length limit cuts: docs/theory/decode.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_node_budget
from speclight.theory.ergodic.least_cost import (
    UpperEstimate,
    least_cost,
    of_fixed_budget,
    upper_estimate,
)
from speclight.theory.ergodic.segments import text_arrays
from speclight.theory.laws.sampled_text import SampledText

REPLICAS = 200


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class DecodeBound:
    """Estimates of the most tokens per call of any decode with deterministic drafts, trees of <= P nodes.

    held: of a decode held to the texts' own length limit, as by max_tokens: what lies beyond the cut is
    dropped, the call that reached there counts. going_on: of a decode that goes on behind the cut; the call
    that crosses it is charged to what follows. Never below `held`, and the same if no text was cut.
    multipliers: [folds] the lambda of each fold of prompts, chosen on the other folds; with a single prompt
    it was chosen on that prompt, which errs downward. costs: [prompts] the least calls of each, for paired
    comparisons with other numbers of the same prompts; going_on takes last_calls off them, [prompts].
    tokens_by_prompt: [prompts].
    """

    node_budget: int
    held: UpperEstimate
    going_on: UpperEstimate
    tokens: int
    texts: int
    cut_texts: int
    prompts: int
    multipliers: FloatArray
    costs: FloatArray
    last_calls: FloatArray
    tokens_by_prompt: FloatArray


def decode_bound(
    texts: Sequence[SampledText],
    node_budget: int,
    requests: int = 1,
    replicas: int = REPLICAS,
    seed: int = 0,
    level: float = 0.95,
) -> DecodeBound:
    """The decode bound with its upper confidence limits, from texts sampled from the target.

    texts: whole texts from their first token on. requests: of a batch in which all share requests * P
    positions a call and a request that ends is replaced; the value is tokens per request and call, and may
    exceed the bound of requests = 1. replicas, seed, level: of the bootstrap over prompts, one-sided.
    Source: ours. Raises InvalidInput for texts without tokens or counts below 1.
    """
    longest = longest_call(check_node_budget(node_budget), requests)
    arrays = text_arrays(texts)
    least = least_cost(arrays, of_fixed_budget(node_budget), longest)

    def estimate(costs: FloatArray) -> UpperEstimate:
        return upper_estimate(least.tokens, costs, float(longest), replicas, seed, level)

    return DecodeBound(
        node_budget=node_budget,
        held=estimate(least.costs),
        going_on=estimate(least.costs - least.last_calls),
        tokens=int(least.tokens.sum()),
        texts=len(arrays.cut),
        cut_texts=int(arrays.cut.sum()),
        prompts=arrays.prompt_count,
        multipliers=least.multipliers,
        costs=least.costs,
        last_calls=least.last_calls,
        tokens_by_prompt=least.tokens,
    )


def longest_call(node_budget: int, requests: int) -> int:
    """Most tokens of one call: all positions but the other requests' roots on one path."""
    if requests < 1:
        raise InvalidInput(f"a batch holds at least one request, got {requests}")
    return requests * (node_budget - 1) + 1
