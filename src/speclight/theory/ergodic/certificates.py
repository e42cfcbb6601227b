"""What a target's decodes certifiably reach: a lower bound on the best tokens per call, from sampled text.

Ours; proofs in docs/theory/certificates.md. The tree {depth <= D, P(v) > 1/(m + 1)} with m = floor((P - 1)/D)
holds at most P nodes in every context, because at most m nodes of one depth have P(v) > 1/(m + 1). So the
decode with these trees is one that exists, and its calls are read off the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.seeds import stream
from speclight.theory.bound import check_node_budget
from speclight.theory.ergodic.bootstrap import ratio_standard_error, resample_prompts
from speclight.theory.ergodic.folds import chosen_on_others
from speclight.theory.ergodic.segments import TextArrays, text_arrays
from speclight.theory.ergodic.trace_walk import walk_visits
from speclight.theory.laws.sampled_text import SampledText

# Each depth is this much larger than the one before: the best one is missed by little.
DEPTH_STEP = 1.25


@dataclass(frozen=True, slots=True)
class LowerEstimate:
    """An estimate of a lower bound. lower: its lower confidence limit, one-sided at `level`.

    standard_error: clustered by prompt; it and `lower` are NaN with a single prompt.
    """

    value: float
    standard_error: float
    lower: float
    level: float


def certified_decode(
    texts: Sequence[SampledText],
    node_budget: int,
    replicas: int = 200,
    seed: int = 0,
    level: float = 0.95,
    drafter: Sequence[FloatArray] | None = None,
) -> LowerEstimate:
    """Tokens per call of the decode with the trees {depth <= D, P(v) > 1/(m + 1)}, held to the texts' limit.

    D of each fold of prompts is the best one on the others, so nothing is gained by luck. With one prompt it
    is the best one there. drafter: for each text [tokens] the surprisals -ln q of its tokens under a drafter,
    infinite where q = 0; its trees are then {depth <= D, Q(v) > 1/(m + 1)}, the lower half of Lemma 7 along
    the text. Raises InvalidInput for texts without tokens, a level outside (0, 1), or surprisals that do not
    fit the texts.
    """
    budget = check_node_budget(node_budget)
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"the level must lie between 0 and 1, got {level}")
    kept = [text for text in texts if len(text)]
    arrays = text_arrays(kept)
    if drafter is not None:
        if [len(text) for text in texts] != [len(surprisals) for surprisals in drafter]:
            raise InvalidInput("the drafter needs one surprisal for each token of every text")
        with np.errstate(over="ignore"):
            arrays = replace(arrays, growth=np.exp(np.maximum(np.concatenate(list(drafter)), 0.0)))
    nodes = np.array([len(text) - text.ended for text in kept], dtype=np.int64)
    # [depths, prompts] calls of each decode.
    calls = np.stack([_calls(arrays, nodes, depth, budget) for depth in _depths(budget)])
    return lower_estimate(arrays.by_prompt(arrays.tokens), chosen_on_others(calls), replicas, seed, level)


def lower_estimate(
    tokens: FloatArray, calls: FloatArray, replicas: int, seed: int, level: float
) -> LowerEstimate:
    """Total tokens over total calls of a decode, [prompts] each; prompts resampled for the limit."""
    value = float(tokens.sum() / calls.sum())
    if len(tokens) == 1:
        return LowerEstimate(value, float("nan"), float("nan"), level)
    draws = resample_prompts(len(tokens), replicas, stream(seed)).astype(np.float64)
    lower = float(np.quantile((draws @ tokens) / (draws @ calls), 1.0 - level))
    return LowerEstimate(value, ratio_standard_error(tokens, calls), lower, level)


def _depths(budget: int) -> list[int]:
    depths: list[int] = []
    depth = 1.0
    while depth <= budget - 1:
        depths.append(int(depth))
        depth = max(depth * DEPTH_STEP, int(depth) + 1.0)
    return depths or [0]


def _calls(arrays: TextArrays, nodes: IntArray, depth: int, budget: int) -> FloatArray:
    of_each_depth = (budget - 1) // depth if depth else 0
    visits = walk_visits(arrays, nodes, depth, 1.0 / (of_each_depth + 1))
    return arrays.by_prompt(np.add.reduceat(visits, arrays.begins[:-1]))
