"""The ergodic renewal bound: a limit on tokens per call for any target, from sampled surprisals alone.

Ours (arXiv 2512.11718v1 leaves "stationary and ergodic processes" open). With S_d the sum of the surprisals
of the first d tokens sampled from a start and N_P(t) the number of nodes of depth < P with V <= t,

    E N_P(t) = E[sum_{d<P} e^(S_d) 1{S_d <= t}]                    many-to-one; no independence is used
    E[X] <= int_0^inf e^-t min(P, E N_P(t)) dt                     Jensen's inequality, nothing else
          = min over t of P e^-t + E sum_{d<P} (1 - e^(S_d - t))^+   the dual form, terms in [0, 1]

The cap d < P costs nothing (the best tree of P nodes is no deeper) and settles censoring. Any threshold t
that depends on the start context alone gives a bound, so starts may be sorted into strata, each with its own
t: the result is closer to the truth, and still above it. Choosing t on the same texts biases the result down;
`ergodic_renewal` estimates and removes that by the prompt jackknife, or takes `Thresholds` chosen elsewhere.

Sampled log-probabilities are enough. Where texts bring the likely part of their full laws (`LikelyTokens`),
each last step is averaged over instead: the same expectations, depth by depth, with less noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.bound import Assumption, Bound, Interval, check_node_budget
from speclight.theory.ergodic.averaged_steps import tree_atoms
from speclight.theory.ergodic.bootstrap import (
    DualSums,
    basic_interval,
    bootstrap_values,
    jackknife,
    linearised_standard_error,
    minimised_value,
)
from speclight.theory.ergodic.spine_sums import (
    ATOM_ATOL,
    Atoms,
    Crossing,
    atom_counts,
    atom_weights,
    crossings,
    first_reach,
    last_reach,
    sum_by_group,
)
from speclight.theory.ergodic.strata import Strata, Thresholds, strata_of_starts
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, Starts, eligible_starts

# Candidate thresholds around t_P on each side. Their distances from t_P grow by a tenth from one to the next,
# so wherever a resampled minimum lies, a candidate lies within 5% of its distance: the minimum, flat to first
# order, is missed by 0.25% of the amount it moved.
CANDIDATES_PER_SIDE = 160
SMALLEST_OFFSET = 1e-6
LARGEST_OFFSET = 4.0


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class ErgodicRenewal:
    """An estimate of the ergodic renewal bound at one node budget, with its sampling error.

    value: the plug-in estimate, tokens per call. bias: its bias by the prompt jackknife (below 0: too low).
    corrected: value - bias, at most P. standard_error: clustered by prompt. interval: cluster bootstrap, if
    draws were given. starts: number of starts used; prompts: number of prompts with a usable start.
    from_laws: whether last steps were averaged over full laws, not drawn.
    start_law: under which law of starts it bounds E[X]. thresholds: [strata] the t used; held_out: whether
    they came from outside. bias, corrected and standard_error are NaN with a single prompt.
    """

    node_budget: int
    value: float
    bias: float
    corrected: float
    standard_error: float
    interval: Interval | None
    starts: int
    prompts: int
    start_law: str
    thresholds: FloatArray
    held_out: bool
    from_laws: bool


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class NodeCountCurve:
    """The expected node count by threshold.

    mean: [thresholds] estimate of E N_P(t), nodes with V <= t. standard_error: clustered by prompt.
    """

    mean: FloatArray
    standard_error: FloatArray


def ergodic_renewal(
    texts: Sequence[SampledText],
    node_budget: int,
    strata: Strata | None = None,
    start_law: StartLaw | None = None,
    draws: IntArray | None = None,
    level: float = 0.95,
) -> ErgodicRenewal:
    """The bound with thresholds minimised on the very texts it is estimated from, and its jackknife bias.

    strata: None for the plain bound, else strata chosen on other prompts. start_law: None for uniform
    positions. draws: [replicas, prompts] from `resample_prompts` for a bootstrap interval at `level`.
    Raises InvalidInput if no start is usable, a feature is missing or the node budget is below 1.
    """
    chosen = Strata() if strata is None else strata
    starts = eligible_starts(texts, check_node_budget(node_budget), start_law)
    of_start = strata_of_starts(chosen, starts)
    chunks, found, reach = _atoms_and_crossings(starts, of_start, len(chosen))
    candidates = np.stack([_candidates(crossing.threshold, reach) for crossing in found])
    sums = _dual_sums(chunks, starts, of_start, candidates)
    thresholds = np.array([crossing.threshold for crossing in found])
    return _estimate(sums, starts, start_law, thresholds, draws, level, held_out=False)


def ergodic_renewal_at(
    texts: Sequence[SampledText],
    thresholds: Thresholds,
    start_law: StartLaw | None = None,
    draws: IntArray | None = None,
    level: float = 0.95,
) -> ErgodicRenewal:
    """The dual form at thresholds fixed beforehand: a mean, so free of the bias of minimising.

    Arguments and errors as in `ergodic_renewal`.
    """
    starts = eligible_starts(texts, thresholds.node_budget, start_law)
    of_start = strata_of_starts(thresholds.strata, starts)
    finite = thresholds.values[np.isfinite(thresholds.values)]
    chunks = tree_atoms(starts, float(finite.max(initial=0.0)))
    sums = _dual_sums(chunks, starts, of_start, thresholds.values[:, None])
    return _estimate(sums, starts, start_law, thresholds.values, draws, level, held_out=True)


def choose_thresholds(
    texts: Sequence[SampledText],
    node_budget: int,
    strata: Strata | None = None,
    start_law: StartLaw | None = None,
) -> Thresholds:
    """t_P of each stratum, where its E N_P crosses P; the minimiser of its dual form on these texts.

    A stratum that no start falls into gets an infinite threshold. Errors as in `ergodic_renewal`.
    """
    chosen = Strata() if strata is None else strata
    starts = eligible_starts(texts, check_node_budget(node_budget), start_law)
    _, found, _ = _atoms_and_crossings(starts, strata_of_starts(chosen, starts), len(chosen))
    return Thresholds(
        node_budget,
        chosen,
        np.array([crossing.threshold for crossing in found]),
        np.array([crossing.keep_at_atom for crossing in found]),
    )


def ergodic_node_count(
    texts: Sequence[SampledText], node_budget: int, levels: FloatArray, start_law: StartLaw | None = None
) -> NodeCountCurve:
    """E N_P(t) at the given levels t [levels], nats, increasing: the mean number of nodes with V <= t, depth
    < P.

    An atom at a level counts, up to rounding of the sums. Weights e^(S_d) make the estimate noisy at large t.
    """
    starts = eligible_starts(texts, check_node_budget(node_budget), start_law)
    per_prompt = np.zeros((starts.prompt_count, len(levels) + 1))
    for atoms in tree_atoms(starts, float(levels.max()) + ATOM_ATOL):
        bins = np.searchsorted(levels + ATOM_ATOL, atoms.sums, side="left")
        flat = starts.prompts[atoms.starts] * per_prompt.shape[1] + bins
        added = sum_by_group(flat, atom_weights(atoms, starts), per_prompt.size)
        per_prompt += added.reshape(per_prompt.shape)
    nodes = np.cumsum(per_prompt, axis=1)[:, :-1]
    weights = sum_by_group(starts.prompts, starts.weights, starts.prompt_count)
    mean = nodes.sum(axis=0) / weights.sum()
    prompts = int((weights > 0).sum())
    residuals = nodes - mean * weights[:, None]
    spread = np.sqrt(prompts / max(prompts - 1, 1) * (residuals**2).sum(axis=0)) / weights.sum()
    return NodeCountCurve(mean, spread if prompts > 1 else np.full(len(levels), np.nan))


def ergodic_bound(estimate: ErgodicRenewal) -> Bound:
    """The estimate as a bound: its bias-corrected value, or the plain one if there is a single prompt."""
    corrected = estimate.value if np.isnan(estimate.corrected) else estimate.corrected
    stratified = len(estimate.thresholds) > 1
    known = "full laws" if estimate.from_laws else "sampled log-probabilities"
    return Bound(
        name="ergodic_renewal_stratified" if stratified else "ergodic_renewal",
        value=corrected,
        side="upper",
        assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.SAME_START_LAW),
        source="ours (Claim 1 of arXiv 2512.11718v1 without independence, then Jensen's inequality)",
        origin="ours",
        validity=(
            f"every target, contexts correlated as they are; estimated from {known} at {estimate.starts} "
            f"starts of {estimate.prompts} prompts under the start law '{estimate.start_law}', standard "
            f"error {estimate.standard_error:.3g}"
        ),
        standard_error=None if np.isnan(estimate.standard_error) else estimate.standard_error,
        interval=estimate.interval,
    )


def _atoms_and_crossings(
    starts: Starts, of_start: IntArray, count: int
) -> tuple[list[Atoms], list[Crossing], float]:
    """Atoms within a reach that holds every stratum's t_P with room above, the t_P, and the reach."""
    reach = first_reach(starts.node_budget)
    chunks = tree_atoms(starts, reach)
    found = crossings(chunks, starts, of_start, count, reach)
    # Resampled thresholds lie above and below t_P, so the reach must go well beyond it.
    if any(crossing.threshold > reach - LARGEST_OFFSET / 2 for crossing in found):
        reach = max(reach + LARGEST_OFFSET, last_reach(starts))
        chunks = tree_atoms(starts, reach)
        found = crossings(chunks, starts, of_start, count, reach)
    return chunks, found, reach


def _candidates(threshold: float, reach: float) -> FloatArray:
    """Increasing thresholds around t_P, t_P itself among them and infinity (count every node) last."""
    centre = min(threshold, reach)
    offsets = np.geomspace(SMALLEST_OFFSET, LARGEST_OFFSET, CANDIDATES_PER_SIDE)
    around = np.concatenate([centre - offsets[::-1], [centre], centre + offsets])
    # Atoms beyond the reach are not known, so neither is the dual form there, except at t_P itself.
    around = np.sort(np.where(around > reach, centre, np.maximum(around, 0.0)))
    if reach < threshold < np.inf:
        around[-1] = threshold
    return np.append(around, np.inf)


def _dual_sums(chunks: list[Atoms], starts: Starts, of_start: IntArray, candidates: FloatArray) -> DualSums:
    """Dual form per prompt, stratum and candidate. candidates: [strata, candidates], rows increasing."""
    count, columns = candidates.shape
    shape = (starts.prompt_count, count, columns + 1)
    groups = starts.prompts * count + of_start
    counts, weights = np.zeros(shape), np.zeros(shape)
    for atoms in chunks:
        bins = np.zeros(len(atoms.sums), dtype=np.int64)
        atom_strata = of_start[atoms.starts]
        for stratum in range(count):
            mine = atom_strata == stratum
            bins[mine] = np.searchsorted(candidates[stratum], atoms.sums[mine], side="right")
        flat = groups[atoms.starts] * (columns + 1) + bins
        counts += sum_by_group(flat, atom_counts(atoms, starts), counts.size).reshape(shape)
        weights += sum_by_group(flat, atom_weights(atoms, starts), counts.size).reshape(shape)
    below = np.cumsum(counts, axis=-1)[..., :-1]
    discount = np.exp(-candidates)
    budgets = _per_group(groups, starts.weights * starts.node_budget, shape)
    dual = below + discount * (budgets[..., None] - np.cumsum(weights, axis=-1)[..., :-1])
    # At an infinite threshold every node counts 1, also those beyond the atoms' reach.
    all_nodes = _per_group(groups, starts.weights * starts.nodes, shape)
    dual = np.where(np.isinf(candidates), all_nodes[..., None], dual)
    return DualSums(dual, sum_by_group(starts.prompts, starts.weights, starts.prompt_count))


def _per_group(groups: IntArray, values: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    return sum_by_group(groups, values, shape[0] * shape[1]).reshape(shape[:2])


def _estimate(
    sums: DualSums,
    starts: Starts,
    start_law: StartLaw | None,
    thresholds: FloatArray,
    draws: IntArray | None,
    level: float,
    held_out: bool,
) -> ErgodicRenewal:
    value = minimised_value(sums)
    bias = jackknife(sums).bias
    interval = None if draws is None else basic_interval(value, bootstrap_values(sums, draws), level)
    return ErgodicRenewal(
        node_budget=starts.node_budget,
        value=value,
        bias=bias,
        corrected=min(value - bias, float(starts.node_budget)),
        standard_error=linearised_standard_error(sums),
        interval=interval,
        starts=len(starts),
        prompts=int((sums.starts > 0).sum()),
        start_law="uniform positions" if start_law is None else start_law.name,
        thresholds=thresholds,
        held_out=held_out,
        from_laws=starts.likely is not None,
    )
