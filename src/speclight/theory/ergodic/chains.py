"""Limits of decodes whose drafts are chains, without branches: what engines without draft trees can reach.

Ours; proofs in docs/theory/drafter.md. All are tokens per call with chains of K drafted tokens (P = K + 1),
deterministic drafts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray
from speclight.theory.bound import Assumption, Bound, check_count
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.ergodic.certificates import LowerEstimate, lower_estimate
from speclight.theory.ergodic.chain_cuts import cheapest_chains
from speclight.theory.ergodic.folds import prompt_folds
from speclight.theory.ergodic.least_cost import UpperEstimate, upper_estimate
from speclight.theory.ergodic.segments import text_arrays
from speclight.theory.laws.likely_tokens import largest_probabilities
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, Starts, eligible_starts

REPLICAS = 200
# The charge of a depth at which every chain can have its node; above 0, for nodes that cannot be.
LEAST_CHARGE = 1e-300
# Recorded surprisals of laws are rounded to float32.
LIKELIEST_ATOL = 1e-5


@dataclass(frozen=True, slots=True)
class ChainLimits:
    """What decodes with chains of at most `drafted` tokens can average, in tokens per call.

    certified: what a chain decode that exists reaches, held to the texts' limit: with full laws that of the
    drafter which always knows the target's likeliest token, else that of drafting tokens of probability
    above 1/2. none_exceeds: what no chain decode exceeds. endless: what chains of no length exceed, and
    endless greedy ones attain; None where only sampled tokens' probabilities are known.
    """

    drafted: int
    certified: LowerEstimate
    none_exceeds: UpperEstimate
    endless: UpperEstimate | None

    @property
    def upper(self) -> UpperEstimate:
        """The smaller of the two upper bounds."""
        known = [self.none_exceeds] if self.endless is None else [self.none_exceeds, self.endless]
        return min(known, key=lambda estimate: estimate.value)


def chain_limits(
    texts: Sequence[SampledText], drafted: int, replicas: int = REPLICAS, seed: int = 0, level: float = 0.95
) -> ChainLimits:
    """All limits of chain decodes, with confidence limits by prompt.

    Raises InvalidInput for texts without tokens, counts below 1, or a level outside (0, 1).
    """
    count, kept = check_count(drafted, "drafted"), [text for text in texts if len(text)]
    arrays = text_arrays(kept)
    cuts = cheapest_chains(arrays, count)
    tokens, longest = arrays.by_prompt(arrays.tokens), float(count + 1)
    accepted = largest_accepted(kept)
    calls = np.array([len(greedy_call_starts(text, count)) for text in kept], dtype=np.float64)
    endless = None
    if accepted is not None:
        refused = np.add.reduceat(1.0 - np.concatenate(accepted), arrays.begins[:-1])
        endless = upper_estimate(tokens, arrays.by_prompt(refused), longest, replicas, seed, level)
    return ChainLimits(
        count,
        lower_estimate(tokens, arrays.by_prompt(calls), replicas, seed, level),
        upper_estimate(tokens, cuts.costs - cuts.last_calls, longest, replicas, seed, level),
        endless,
    )


def largest_accepted(texts: Sequence[SampledText]) -> list[FloatArray] | None:
    """For each text [tokens] the largest probability of any token that can be drafted there.

    None unless the laws of all texts are known.
    """
    likely = [text.likely for text in texts if text.likely is not None]
    return [largest_probabilities(laws) for laws in likely] if len(likely) == len(texts) else None


def greedy_call_starts(text: SampledText, drafted: int) -> IntArray:
    """Where calls start in the decode of a text with chains of the likeliest tokens, `drafted` at most.

    Without laws a token is drafted where its probability is above 1/2, and then it is the likeliest.
    """
    accepted = _is_likeliest(text)
    starts, place = [0], 0
    while place < len(text):
        ahead = accepted[place : place + drafted]
        place += (len(ahead) if ahead.all() else int(ahead.argmin())) + 1
        starts.append(place)
    return np.array([start for start in starts if start < len(text)], dtype=np.int64)


def chains_at_starts(
    texts: Sequence[SampledText], node_budget: int, start_law: StartLaw | None = None
) -> Bound:
    """E[X] of any call with a chain of K = P - 1 drafts is at most this, under a start law.

    1 + sum over depths j of min over lambda of (lambda + E(1 - lambda e^(S_j))^+), because a chain has one
    node of depth j: E[e^(S_j); X > j] <= 1. Lambda is chosen on other prompts. start_law: None for uniform
    positions. Raises InvalidInput for a budget below 2, or if no start is usable.
    """
    drafted = check_count(node_budget - 1, "node_budget - 1")
    starts = eligible_starts(texts, node_budget, start_law)
    followed = _path_sums(starts, drafted)
    sums = np.zeros(len(starts))
    for mine, others in prompt_folds(starts.prompts, starts.prompt_count):
        for depth in range(drafted):
            charge = _best_charge(followed[others, depth], starts.weights[others])
            sums[mine] += charge + np.maximum(1.0 - charge * followed[mine, depth], 0.0)
    weights = np.bincount(starts.prompts, starts.weights, minlength=starts.prompt_count).astype(np.float64)
    totals = np.bincount(starts.prompts, starts.weights * sums, minlength=starts.prompt_count).astype(
        np.float64
    )
    error = ratio_standard_error(totals, weights)
    return Bound(
        name="chains",
        value=min(1.0 + float(totals.sum() / weights.sum()), float(node_budget)),
        side="upper",
        assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.SAME_START_LAW, Assumption.CHAINS),
        source="ours",
        origin="ours",
        validity=f"every target, P >= 2; estimated from sampled log-probabilities at {len(starts)} starts",
        standard_error=None if np.isnan(error) else error,
    )


def _is_likeliest(text: SampledText) -> BoolArray:
    """[tokens] whether each is the likeliest one that could be drafted; the end of text never is."""
    if text.likely is None:
        likeliest = text.surprisals < np.log(2.0)
    else:
        smallest = -np.log(largest_probabilities(text.likely))
        likeliest = text.surprisals <= smallest + LIKELIEST_ATOL
    if text.ended:
        likeliest[-1:] = False
    return likeliest


def _path_sums(starts: Starts, drafted: int) -> FloatArray:
    """[starts, drafted] e^(S_j) for j = 1, 2, ... along the text, infinite where no node can be."""
    places = starts.positions[:, None] + np.arange(drafted)
    there = np.arange(drafted) < starts.deepest[:, None]
    steps = np.where(there, starts.flat[np.minimum(places, len(starts.flat) - 1)], np.inf)
    with np.errstate(over="ignore"):
        return np.exp(np.cumsum(steps, axis=1))


def _best_charge(weights_of_nodes: FloatArray, starts: FloatArray) -> float:
    """The lambda that minimises lambda + E(1 - lambda W)^+: where E[W; W < 1/lambda] reaches 1."""
    order = np.argsort(weights_of_nodes)
    held = np.cumsum(weights_of_nodes[order] * starts[order]) / starts.sum()
    place = int(np.searchsorted(held, 1.0))
    return (
        LEAST_CHARGE if place == len(held) else max(1.0 / float(weights_of_nodes[order][place]), LEAST_CHARGE)
    )
