"""Chance that one of several drafted candidates becomes the emitted token, for rules that flip coins.

All rules work at one node: the drafter offers candidates, the rule accepts one or draws the token itself,
and the emitted token has the target's law p exactly. `acceptance` is the chance that it was a candidate.
Rejection with replacement here is "greedy speculative decoding" (GSD) of arXiv 2504.15475 as far as its
abstract tells (body not available: a reconstruction), SpecInfer's rule (arXiv 2305.09781), and with one
candidate the rule of Leviathan et al.; k-seq is from SpecTr (arXiv 2310.15141).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.theory.bisection import increasing_root
from speclight.theory.bound import check_count
from speclight.theory.information import overlap
from speclight.theory.laws.likelihood_ratio import LikelihoodRatioOrder, check_law_pair


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class AcceptanceLaw:
    """What becomes of the candidates at one node.

    by_candidate: [candidates] P(candidate m is the accepted one). output: [vocabulary] law of the emitted
    token, accepted or drawn from what the target has left; lossless rules give the target's law.
    """

    by_candidate: FloatArray
    output: FloatArray

    @property
    def acceptance(self) -> float:
        """P(the emitted token is one of the candidates the rule accepted)."""
        return float(self.by_candidate.sum())


def single_draft_rejection(target: FloatArray, drafter: FloatArray) -> float:
    """1 - TV(p, q): acceptance of one candidate, and the most that any rule can reach with one."""
    target, drafter = check_law_pair(target, drafter)
    return float(overlap(target, drafter))


def rejection_with_replacement(target: FloatArray, drafter: FloatArray, candidates: int) -> AcceptanceLaw:
    """Recursive rejection of `candidates` independent drafts. Exact, O(V log V + k log V).

    After i rejections the target has left (p - t_i q)_+ of total mass S(t_i), with t_0 = 0 and
    t_{i+1} = t_i + S(t_i): candidate i + 1 is accepted with probability S(t_i) - S(t_{i+1}), which does
    not increase with i. Origin: ours (closed form of the usual recursion on residual laws).
    """
    pair = LikelihoodRatioOrder(target, drafter)
    scale, left = 0.0, 1.0
    accepted = np.zeros(check_count(candidates, "candidates"))
    for candidate in range(len(accepted)):
        scale += left
        remaining = min(left, float(pair.target_excess(np.array(scale))))
        accepted[candidate] = left - remaining
        left = remaining
    served = np.minimum(pair.target, scale * pair.drafter)
    return AcceptanceLaw(accepted, _complete(served, pair.target - served, accepted))


def k_seq(target: FloatArray, drafter: FloatArray, candidates: int) -> AcceptanceLaw:
    """SpecTr's k-seq for independent drafts: accept x with probability min(1, p(x) / (rho q(x))). O(V log V).

    rho is `division_factor`; each candidate tried is accepted with the same chance beta, so the k of them
    with 1 - (1 - beta)^k. The residual is proportional to p - min(q, p / rho) (1 - (1 - beta)^k) / beta.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    count = check_count(candidates, "candidates")
    rho = division_factor(target, drafter, count)
    chance_per_token = np.minimum(pair.drafter, pair.target / rho)
    beta = float(chance_per_token.sum())
    reached = np.concatenate([[1.0], np.cumprod(np.full(count - 1, 1.0 - beta))])
    accepted = beta * reached
    served = chance_per_token * reached.sum()  # (1 - (1 - beta)^k) / beta rounds of them, also at beta = 0
    return AcceptanceLaw(accepted, _complete(served, np.maximum(pair.target - served, 0.0), accepted))


def division_factor(target: FloatArray, drafter: FloatArray, candidates: int) -> float:
    """The smallest rho in [1, k] with 1 - (1 - beta)^k <= rho beta, beta = sum min(q, p / rho).

    Rounded up to the next float, so that the residual of `k_seq` is never negative. beta falls and
    rho beta grows with rho, so the condition holds from one rho on. Source: arXiv 2310.15141.
    """
    pair = LikelihoodRatioOrder(target, drafter)
    count = check_count(candidates, "candidates")

    def surplus(rho: float) -> float:
        beta = float(np.minimum(pair.drafter, pair.target / rho).sum())
        accepted = 1.0 - (1.0 - min(beta, 1.0)) ** count
        return rho * beta - accepted

    return 1.0 if surplus(1.0) >= 0.0 else increasing_root(surplus, 1.0, float(count))


def deterministic_top(target: FloatArray, drafter: FloatArray, candidates: int) -> float:
    """Acceptance p(S), S the k tokens likeliest under the drafter (ties by lowest id); emit Y ~ p."""
    target, drafter = check_law_pair(target, drafter)
    return float(target[_likeliest(drafter, check_count(candidates, "candidates"))].sum())


def hybrid(target: FloatArray, drafter: FloatArray, candidates: int) -> float:
    """Acceptance of the k - 1 likeliest tokens S and one draft from q outside S, by the best rule for them.

    p(S) + sum over the others of min(p, q / q(outside S)). Where q has no mass outside S there is no last
    draft. Source: RSD, arXiv 2402.14160, for the draft law; the value is that of optimal transport (ours).
    """
    target, drafter = check_law_pair(target, drafter)
    certain = _likeliest(drafter, check_count(candidates, "candidates") - 1)
    p, q = target.copy(), drafter.copy()
    p[certain] = q[certain] = 0.0
    outside = float(q.sum())
    drafted = float(np.minimum(p, q / outside).sum()) if outside > 0.0 else 0.0
    return float(target[certain].sum()) + drafted


def _likeliest(drafter: FloatArray, count: int) -> IntArray:
    """Up to `count` tokens of positive drafter probability, the likeliest first."""
    order = np.argsort(-drafter, kind="stable")[:count]
    return order[drafter[order] > 0.0]


def _complete(served: FloatArray, residual: FloatArray, accepted: FloatArray) -> FloatArray:
    """Law of the emitted token: accepted candidates, else a draw from the normalised residual."""
    if (mass := float(residual.sum())) <= 0.0:
        return served
    # Rounding may leave -1e-16 where everything was accepted.
    return served + residual * (max(0.0, 1.0 - float(accepted.sum())) / mass)
