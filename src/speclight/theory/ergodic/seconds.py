"""Limits in seconds: the fastest decode of a target when a call's time depends on the size of its tree.

Ours; proofs in docs/theory/seconds.md. `fastest_decode` holds for every decode with deterministic drafts,
wherever its calls start and whatever the sizes of its trees. `fastest_at_starts` is exact at a start law for
call times T0 + tau |tree|: with rho the best rate, the best tree drafts v iff P(v) > rho tau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bisection import increasing_root
from speclight.theory.ergodic.averaged_steps import tree_atoms
from speclight.theory.ergodic.decode import longest_call
from speclight.theory.ergodic.least_cost import SizeCosts, UpperEstimate, least_cost, upper_estimate
from speclight.theory.ergodic.segments import text_arrays
from speclight.theory.ergodic.spine_sums import atom_counts, atom_weights
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, eligible_starts


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class FastestDecode:
    """Upper bounds on tokens per second: of a decode held to the texts' limit, and of one that goes on.

    As in `DecodeBound`. multipliers: [folds] seconds per node of the line that each fold is charged by.
    """

    held: UpperEstimate
    going_on: UpperEstimate
    multipliers: FloatArray


@dataclass(frozen=True, slots=True)
class FastestCall:
    """The best trees at a start law for call times T0 + tau |tree|.

    rate: tokens per second. tokens_per_call, tree_size: of the best trees. threshold: they hold the nodes
    with P(v) > threshold = rate * tau.
    """

    rate: float
    threshold: float
    tokens_per_call: float
    tree_size: float


def fastest_decode(
    texts: Sequence[SampledText],
    call_time: SizeCosts,
    seconds_per_context_token: float = 0.0,
    context_tokens: Sequence[int] | None = None,
    replicas: int = 200,
    seed: int = 0,
    level: float = 0.95,
    requests: int = 1,
) -> FastestDecode:
    """No decode of this target with these call times emits more tokens per second, drafting free.

    call_time: T(k) seconds by tree size, as measured: neither convex nor monotone. Trees above its largest
    size are not possible. seconds_per_context_token: what each token of context before a call adds to it;
    context_tokens: those before each text's first token (prompt), none if not given. requests: decoded at
    once, sharing each call's nodes as they like, one that ends replaced; call_time then is by the mean size
    of their trees, and the value tokens per second of each. Source: ours. Raises InvalidInput for a negative
    time, a number of contexts other than that of texts, or requests below 1.
    """
    if seconds_per_context_token < 0.0:
        raise InvalidInput(f"seconds per context token must be >= 0, got {seconds_per_context_token}")
    before = [0] * len(texts) if context_tokens is None else list(context_tokens)
    if len(before) != len(texts):
        raise InvalidInput(f"each of {len(texts)} texts needs its context's length, got {len(before)}")
    arrays = text_arrays(texts)
    kept = np.array([tokens for text, tokens in zip(texts, before, strict=True) if len(text)])
    contexts = np.repeat(kept, np.diff(arrays.begins)) + arrays.places
    surcharge = np.asarray(seconds_per_context_token * contexts, dtype=np.float64)
    least = least_cost(arrays, call_time, longest_call(call_time.largest, requests), surcharge)
    # Even if every call held the tree that pays most and one request got all of it.
    longest = np.array([longest_call(int(size), requests) for size in call_time.sizes])
    most = float((longest / call_time.costs).max())

    def estimate(costs: FloatArray) -> UpperEstimate:
        return upper_estimate(least.tokens, costs, most, replicas, seed, level)

    return FastestDecode(estimate(least.costs), estimate(least.costs - least.last_calls), least.multipliers)


def fastest_at_starts(
    texts: Sequence[SampledText],
    fixed_seconds: float,
    seconds_per_node: float,
    deepest: int,
    start_law: StartLaw | None = None,
) -> FastestCall:
    """The fixed point rho of E sum_d (1 - rho tau e^(S_d))^+ = rho T0, for calls of T0 + tau |tree| seconds.

    deepest: a tree holds depths below it; texts cut by a limit lend starts with as many further tokens.
    start_law: None for uniform positions. Source: ours (Dinkelbach's method for a ratio). Raises InvalidInput
    for times <= 0, or if no start is usable.
    """
    if not (0.0 < fixed_seconds < inf and 0.0 < seconds_per_node < inf):
        raise InvalidInput(
            f"a call needs T0 > 0 and tau > 0 seconds, got {fixed_seconds} and {seconds_per_node}"
        )
    starts = eligible_starts(texts, deepest, start_law)
    # The root alone emits a token in T0 + tau: the best rate is no lower, and no threshold is.
    slowest = 1.0 / (fixed_seconds + seconds_per_node)
    chunks = tree_atoms(starts, -log(slowest * seconds_per_node))
    sums = np.concatenate([atoms.sums for atoms in chunks])
    counts = np.concatenate([atom_counts(atoms, starts) for atoms in chunks]) / starts.weights.sum()
    sizes = np.concatenate([atom_weights(atoms, starts) for atoms in chunks]) / starts.weights.sum()

    def loss(rate: float) -> float:
        held = sums < -log(rate * seconds_per_node)
        gain = float((counts[held] - rate * seconds_per_node * sizes[held]).sum())
        return rate * fixed_seconds - gain

    rate = increasing_root(loss, slowest, 1.0 / seconds_per_node)
    held = sums < -log(rate * seconds_per_node)
    return FastestCall(rate, rate * seconds_per_node, float(counts[held].sum()), float(sizes[held].sum()))
