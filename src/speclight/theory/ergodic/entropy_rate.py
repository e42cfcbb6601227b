"""Two simple bounds on a whole decode, from nothing but the surprisals along its text.

Ours; proofs in docs/theory/certificates.md and docs/theory/decode.md. Both hold for every target and every
decode with deterministic drafts, wherever calls start. The decode bound (`decode`) is closer; these show why:
tokens per call cannot grow faster than ln P over the entropy rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from speclight.arrays import FloatArray
from speclight.theory.bound import check_count, check_node_budget
from speclight.theory.ergodic.folds import chosen_on_others
from speclight.theory.ergodic.least_cost import UpperEstimate, upper_estimate
from speclight.theory.ergodic.segments import TextArrays, text_arrays
from speclight.theory.laws.sampled_text import SampledText

LARGEST_CAP = 30.0  # nats; no sampled token is rarer
CAPS = 60


def entropy_rate_bound(
    texts: Sequence[SampledText], node_budget: int, replicas: int = 200, seed: int = 0, level: float = 0.95
) -> UpperEstimate:
    """(theta + ln P)/E[min(s, theta)], s the surprisal of a token, theta the best one on other prompts.

    A call's tokens but the last have a total surprisal S with E[e^S] <= P, hence E[S] <= ln P; the last adds
    at most theta. Raises InvalidInput for texts without tokens, counts below 1, or a level outside (0, 1).
    """
    budget = check_node_budget(node_budget)
    arrays = text_arrays(texts)
    caps = np.geomspace(1e-3, LARGEST_CAP, CAPS)
    # [caps, prompts] the calls that each cap shows to be needed.
    calls = np.stack([_total(arrays, cap) / (cap + log(budget)) for cap in caps])
    chosen = -chosen_on_others(-calls)  # the cap that shows most calls
    tokens = arrays.by_prompt(arrays.tokens)
    return upper_estimate(tokens, chosen, float(budget), replicas, seed, level)


def decode_leaf_entropy(
    texts: Sequence[SampledText],
    node_budget: int,
    vocabulary_size: int,
    replicas: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> UpperEstimate:
    """ln(P (V - 1) + 1)/E[s]: each call tells by one of that many leaves what its tokens were.

    vocabulary_size: V, the largest number of tokens that a context gives positive probability. Errors as in
    `entropy_rate_bound`.
    """
    budget, vocabulary = check_node_budget(node_budget), check_count(vocabulary_size, "vocabulary_size")
    arrays = text_arrays(texts)
    tokens = arrays.by_prompt(arrays.tokens)
    leaves = log(budget * (vocabulary - 1) + 1)
    needed = _total(arrays, LARGEST_CAP) / leaves if leaves > 0.0 else np.zeros_like(tokens)
    return upper_estimate(tokens, needed, float(budget), replicas, seed, level)


def _total(arrays: TextArrays, cap: float) -> FloatArray:
    """[prompts] sum of min(s, cap)."""
    capped = np.minimum(np.log(arrays.growth), cap)
    return arrays.by_prompt(np.add.reduceat(capped, arrays.begins[:-1]))
