"""The trace walk: what an oracle decode would have emitted per call, read off texts sampled without one.

An oracle call at a start of stratum i holds the tree of all nodes with V <= t_P(i) and depth < P: P nodes on
average over the stratum, not at each context. Along a sampled text the call ends where the text leaves that
tree, and the next call starts there. So the walk visits starts as a decoder does, which uniform positions do
not: after an easy stretch a call ends at a hard token.

Tokens over calls along the walk is an estimate, never a bound: with strata that do not tell all that matters
it errs upward by the Jensen slack within strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.ergodic.spine_sums import ATOM_ATOL, spine_atoms, sum_by_group
from speclight.theory.ergodic.strata import Thresholds, strata_of_starts
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, Starts, eligible_starts


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TraceWalk:
    """tokens_per_call: tokens / calls along the walk. standard_error: clustered by prompt, NaN for one
    prompt.

    calls, tokens: totals (expected numbers unless uniforms were given). start_law: the walk's call starts,
    with which `ergodic_renewal` and `choose_thresholds` can be asked again.
    """

    node_budget: int
    tokens_per_call: float
    standard_error: float
    calls: float
    tokens: float
    start_law: StartLaw


def trace_walk(
    texts: Sequence[SampledText], thresholds: Thresholds, uniforms: Sequence[FloatArray] | None = None
) -> TraceWalk:
    """Walk every text from its first position, call by call, while starts are usable at the node budget.

    thresholds: from `choose_thresholds`, best on other prompts. A node exactly at its threshold belongs to
    the call's tree with probability keep_at_atom: with uniforms (one array [tokens] per text, in [0, 1)) it
    does if the start's uniform is below that; without, both branches are followed with their probabilities,
    which gives the expectation over uniforms.
    Raises InvalidInput if no start is usable, a feature is missing, or the uniforms do not fit the texts.
    """
    starts = eligible_starts(texts, thresholds.node_budget)
    strata = strata_of_starts(thresholds.strata, starts)
    shortest = _emitted(starts, thresholds.values[strata], -ATOM_ATOL)
    longest = _emitted(starts, thresholds.values[strata], ATOM_ATOL)
    keep = thresholds.keep_at_atom[strata]
    if uniforms is not None:
        if [len(text) for text in texts] != [len(numbers) for numbers in uniforms]:
            raise InvalidInput("the walk needs one uniform per token of every text")
        keep = (np.concatenate(list(uniforms))[starts.positions] < keep).astype(np.float64)
    visits = np.zeros(len(starts.flat))
    offset = 0
    first_start = 0
    for text in texts:
        behind = int(np.searchsorted(starts.positions, offset + len(text)))
        mine = slice(first_start, behind)
        visits[offset : offset + behind - first_start] = _visits(shortest[mine], longest[mine], keep[mine])
        offset, first_start = offset + len(text), behind
    return _totals(texts, starts, visits, shortest + keep * (longest - shortest))


def _emitted(starts: Starts, thresholds: FloatArray, tolerance: float) -> IntArray:
    """[starts] tokens a call emits: the nodes on its path with S_d <= threshold + tolerance."""
    finite = thresholds[np.isfinite(thresholds)]
    nodes = np.zeros(len(starts), dtype=np.int64)
    for atoms in spine_atoms(starts, float(finite.max(initial=0.0)) + ATOM_ATOL):
        inside = atoms.sums <= (thresholds + tolerance)[atoms.starts]
        nodes += np.bincount(atoms.starts[inside], minlength=len(starts))
    # Below an infinite threshold every node counts; the root belongs to every tree.
    return np.where(np.isinf(thresholds), starts.deepest + 1, np.maximum(nodes, 1))


def _visits(shortest: IntArray, longest: IntArray, keep: FloatArray) -> FloatArray:
    """[positions] expected number of calls starting at each usable position of one text."""
    visits = np.zeros(len(shortest))
    visits[:1] = 1.0
    for position in range(len(visits)):
        calls = visits[position]
        if calls:
            for emitted, probability in ((shortest, 1.0 - keep[position]), (longest, keep[position])):
                following = position + emitted[position]
                if following < len(visits):
                    visits[following] += calls * probability
    return visits


def _totals(
    texts: Sequence[SampledText], starts: Starts, visits: FloatArray, emitted: FloatArray
) -> TraceWalk:
    calls = visits[starts.positions]
    calls_per_prompt = sum_by_group(starts.prompts, calls, starts.prompt_count)
    tokens_per_prompt = sum_by_group(starts.prompts, calls * emitted, starts.prompt_count)
    ends = np.cumsum([len(text) for text in texts])[:-1]
    return TraceWalk(
        node_budget=starts.node_budget,
        tokens_per_call=float(tokens_per_prompt.sum() / calls_per_prompt.sum()),
        standard_error=ratio_standard_error(tokens_per_prompt, calls_per_prompt),
        calls=float(calls.sum()),
        tokens=float(tokens_per_prompt.sum()),
        start_law=StartLaw("call starts", tuple(np.split(visits, ends))),
    )
