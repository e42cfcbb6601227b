"""Recursive rejection of candidates drawn without replacement: by definition, by all or by some histories.

Candidate i + 1 is drawn from q renormalised on the tokens not yet drawn (total mass Z) and accepted with
probability min(1, p_i / q_i); p_{i+1} = norm (p_i - q_i)_+. A rejected token has p_{i+1} = 0 from then on,
so what the target has left is (p - t q)_+ whatever was rejected, of mass S(t), and only

    t_{i+1} = t_i + S(t_i) / Z_i,    P(candidate i + 1 rejected | history) = S(t_{i+1}) / S(t_i)

depends on the history, through Z. Source of the rule: RSD, arXiv 2402.14160; in the reading of arXiv
2504.15475 (body not available: a reconstruction) it is GSD without replacement. This form of it: ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_count
from speclight.theory.coins.acceptance import AcceptanceLaw
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder, check_law_pair

# Histories are enumerated up to this number; one array over them is then 32 MB.
LARGEST_ENUMERATION = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class AcceptanceEstimate:
    """Acceptance averaged over sampled histories of rejected tokens.

    by_candidate, standard_errors: [candidates] unbiased estimates of P(candidate m is accepted); the first
    depends on no draw, so its error is 0. acceptance,
    acceptance_standard_error: the same for their sum.
    """

    by_candidate: FloatArray
    standard_errors: FloatArray
    acceptance: float
    acceptance_standard_error: float


def rejection_without_replacement(target: FloatArray, drafter: FloatArray, candidates: int) -> AcceptanceLaw:
    """The rule by its definition, over all ordered histories: acceptance and law of the emitted token.

    For small vocabularies, as the reference of the faster functions here: about V^k steps, at most 4e6.
    Raises InvalidInput beyond that.
    """
    target, drafter = check_law_pair(target, drafter)
    count = check_count(candidates, "candidates")
    _check_histories(int((drafter > 0.0).sum()), count)
    accepted, output = np.zeros(count), np.zeros(len(target))
    stack = [(0, 1.0, target, drafter)]  # candidates tried, P(history), target's residual law, undrawn q
    while stack:
        tried, weight, residual, undrawn = stack.pop()
        mass = float(undrawn.sum())
        if tried == count or mass <= 0.0:
            output += weight * residual
            continue
        proposal = undrawn / mass
        taken = np.minimum(residual, proposal)
        accepted[tried] += weight * float(taken.sum())
        output += weight * taken
        refused, left = proposal - taken, residual - taken
        remaining = float(left.sum())
        if remaining <= 0.0:
            continue
        for token in np.flatnonzero(refused > 0.0):
            following = undrawn.copy()
            following[token] = 0.0
            stack.append((tried + 1, weight * float(refused[token]), left / remaining, following))
    return AcceptanceLaw(accepted, output)


def acceptance_without_replacement(target: FloatArray, drafter: FloatArray, candidates: int) -> FloatArray:
    """[candidates] P(candidate m is accepted), exact, over V^(k - 1) histories, at most 4e6 of them.

    Practical for any V at k <= 2, V = 2000 at k = 3, V = 12 at k = 7. Raises InvalidInput for more
    histories: use `estimate_acceptance_without_replacement`.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    count = check_count(candidates, "candidates")
    _check_histories(int((pair.drafter > 0.0).sum()), count - 1)
    histories = _start(pair, count, np.ones(1))
    accepted = np.zeros(count)
    for candidate in range(count):
        following = _try_candidate(histories)
        accepted[candidate] = float(histories.weights @ (histories.left - following.left))
        if candidate + 1 < count:
            histories = _branch(histories, following)
    return accepted


def estimate_acceptance_without_replacement(
    target: FloatArray, drafter: FloatArray, uniforms: FloatArray
) -> AcceptanceEstimate:
    """The acceptance for large V or k, averaged over one history per row of `uniforms`.

    uniforms: [histories, candidates - 1] independent uniforms on [0, 1), at least 2 rows; entry m draws the
    m-th rejected token given that all candidates up to it were rejected. Given a history the acceptance of
    every candidate is exact, so only the dependence on which tokens were drawn is left to chance.
    Cost per row: O(k^2 + k log V). Raises InvalidInput for malformed laws or uniforms.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    noise = _checked(uniforms)
    rows, count = len(noise), noise.shape[1] + 1
    histories = _start(pair, count, np.full(rows, 1.0 / rows))
    accepted = np.zeros((rows, count))
    for candidate in range(count):
        following = _try_candidate(histories)
        accepted[:, candidate] = histories.left - following.left
        if candidate + 1 < count:
            drawn = _draw_rejected(histories, following, noise[:, candidate])
            histories = replace(following, drawn=np.column_stack([histories.drawn, drawn]))
    totals = accepted.sum(axis=1)
    return AcceptanceEstimate(
        by_candidate=accepted.mean(axis=0),
        standard_errors=accepted.std(axis=0, ddof=1) / np.sqrt(rows),
        acceptance=float(totals.mean()),
        acceptance_standard_error=float(totals.std(ddof=1) / np.sqrt(rows)),
    )


def _checked(uniforms: FloatArray) -> FloatArray:
    noise = np.asarray(uniforms, dtype=np.float64)
    if noise.ndim != 2 or len(noise) < 2 or not ((noise >= 0.0) & (noise < 1.0)).all():
        raise InvalidInput(f"uniforms must be [histories >= 2, candidates - 1] in [0, 1), got {noise.shape}")
    return noise


def residual_scales(target: FloatArray, drafter: FloatArray, uniforms: FloatArray) -> FloatArray:
    """[histories, candidates + 1] t_0 = 0, t_1, ... along sampled histories in which every try was rejected.

    uniforms: as for `estimate_acceptance_without_replacement`. In such a history candidate m serves token y
    with min(p(y), t_m q(y)) - min(p(y), t_{m-1} q(y)): divided by p(y) and averaged over histories, the
    chance that y, if emitted, was candidate m. Errors as there.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    noise = _checked(uniforms)
    rows, count = len(noise), noise.shape[1] + 1
    histories = _start(pair, count, np.full(rows, 1.0 / rows))
    scales = np.zeros((rows, count + 1))
    for candidate in range(count):
        following = _try_candidate(histories)
        scales[:, candidate + 1] = following.scales
        if candidate + 1 < count:
            drawn = _draw_rejected(histories, following, noise[:, candidate])
            histories = replace(following, drawn=np.column_stack([histories.drawn, drawn]))
    return scales


@dataclass(frozen=True, slots=True, eq=False)
class _Histories:
    """Several histories of rejections side by side.

    likeliest: places in pair.order of the drafter's likeliest tokens, one more than are ever drawn before
    Z is needed. drawn: [histories, i] places of the rejected tokens. scales: [histories] t.
    left: [histories] S(t), the chance that all tries were rejected. undrawn: [histories] Z before the last
    try. weights: [histories].
    """

    pair: LikelihoodRatioOrder
    likeliest: IntArray
    drawn: IntArray
    scales: FloatArray
    left: FloatArray
    undrawn: FloatArray
    weights: FloatArray


def _start(pair: LikelihoodRatioOrder, candidates: int, weights: FloatArray) -> _Histories:
    rows = len(weights)
    likeliest = np.argsort(-pair.drafter[pair.order], kind="stable")[:candidates]
    nothing, ones = np.zeros((rows, 0), dtype=np.int64), np.ones(rows)
    return _Histories(pair, likeliest, nothing, np.zeros(rows), ones, ones, weights)


def _try_candidate(histories: _Histories) -> _Histories:
    """The same histories after one more candidate was tried and rejected (with the chance `left` tells)."""
    undrawn = _undrawn_mass(histories)
    possible = undrawn > 0.0  # otherwise nothing is left to draw and no candidate is tried
    jump = np.divide(histories.left, undrawn, out=np.zeros_like(undrawn), where=possible)
    scales = histories.scales + jump
    left = np.where(
        possible, np.minimum(histories.pair.target_excess(scales), histories.left), histories.left
    )
    return replace(histories, scales=scales, left=left, undrawn=undrawn)


def _undrawn_mass(histories: _Histories) -> FloatArray:
    """[histories] Z, the drafter's mass on tokens not drawn.

    The likeliest tokens are added one by one, never subtracted: one of them is always undrawn, so Z keeps
    its digits even where the drawn tokens have all but 1e-15 of the mass.
    """
    q = histories.pair.drafter[histories.pair.order]
    is_likely = np.zeros(len(q), dtype=bool)
    is_likely[histories.likeliest] = True
    mass = float(q[~is_likely].sum()) - np.where(is_likely[histories.drawn], 0.0, q[histories.drawn]).sum(
        axis=1
    )
    for place in histories.likeliest:
        mass += np.where((histories.drawn == place).any(axis=1), 0.0, q[place])
    return np.maximum(mass, 0.0)


def _branch(histories: _Histories, following: _Histories) -> _Histories:
    """Every history continued by every token that may have been rejected; finished ones are dropped."""
    pair = histories.pair
    p, q = pair.target[pair.order], pair.drafter[pair.order]
    goes_on = np.flatnonzero((following.left > 0.0) & (following.undrawn > 0.0))
    scales, jumps = histories.scales[goes_on], (following.scales - histories.scales)[goes_on]
    chances = np.maximum(jumps[:, None] * q - np.maximum(p - scales[:, None] * q, 0.0), 0.0)
    np.put_along_axis(chances, histories.drawn[goes_on], 0.0, axis=1)
    row, token = np.nonzero(chances)
    source = goes_on[row]
    share = chances[row, token] / chances.sum(axis=1)[row]
    return replace(
        following,
        drawn=np.column_stack([histories.drawn[source], token]),
        scales=following.scales[source],
        left=following.left[source],
        undrawn=following.undrawn[source],
        weights=histories.weights[source] * share,
    )


def _draw_rejected(histories: _Histories, following: _Histories, uniforms: FloatArray) -> IntArray:
    """[histories] place of one rejected token each, by inverting the law (q_i - p_i)_+ of rejected tokens.

    In the order of p/q it is jump * q up to t (drawn tokens excluded) and t' q - p from t to t'.
    """
    pair, jumps = histories.pair, following.scales - histories.scales
    below = np.searchsorted(pair.ratios, histories.scales, side="left")
    above = np.searchsorted(pair.ratios, following.scales, side="left")
    drawn = np.sort(histories.drawn, axis=1)
    q = pair.drafter[pair.order]
    spent = q[drawn]
    exhausted = jumps * np.maximum(pair.drafter_before[below] - spent.sum(axis=1), 0.0)

    def partial(place: IntArray) -> FloatArray:
        drafted = pair.drafter_before[place] - pair.drafter_before[below]
        return following.scales * drafted - (pair.target_before[place] - pair.target_before[below])

    total = exhausted + np.maximum(partial(above), 0.0)
    level = uniforms * total
    # Tokens below t: undo the scale, then step over each drawn token, in ascending order.
    position = np.divide(level, jumps, out=np.zeros_like(level), where=jumps > 0.0)
    for column in range(drawn.shape[1]):
        behind = position >= pair.drafter_before[drawn[:, column]]
        position = np.where(behind, position + spent[:, column], position)
    early = np.searchsorted(pair.drafter_before, position, side="right") - 1
    # Tokens between t and t': bisection for the last place with partial sum <= level - exhausted.
    low, high = below.copy(), np.maximum(above, below + 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        at_most = partial(np.minimum(middle, len(q))) <= level - exhausted
        low, high = np.where(at_most, middle, low), np.where(at_most, high, middle)
    return np.minimum(np.where(level < exhausted, early, low), len(q) - 1)


def _check_histories(tokens: int, draws: int) -> None:
    if tokens**draws > LARGEST_ENUMERATION:
        raise InvalidInput(
            f"{tokens} tokens and {draws} draws have more than {LARGEST_ENUMERATION} histories; "
            "use estimate_acceptance_without_replacement"
        )
