"""Lower bounds on what the optimal deterministic drafter with full knowledge attains at P nodes.

All of them read Wald's identity on the way out of the optimal tree: the target leaves it at a node whose
V = -ln P(v) is at least T_{P+1}, the (P+1)-th smallest V of the token tree, and that V is mu per token on
average, so mu E[X] >= E[T_{P+1}]. End of text breaks the first step, hence the infinite tree.
"""

from __future__ import annotations

from functools import partial
from math import e, isfinite, log1p

import numpy as np

from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_entropy, check_node_budget
from speclight.theory.iid.renewal import refined_node_count
from speclight.theory.iid.two_moments import tokens_from_moments
from speclight.theory.laws.step_law import StepLaw

_iid_bound = partial(
    Bound,
    side="lower",
    assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_CONTEXTS, Assumption.INFINITE_TREE),
)
_FLOOR = "every P >= 1; 1 where the formula is smaller, P at mu = 0"


def lemma_6(mu: float, mu2: float, node_budget: int) -> Bound:
    """E[X] >= (1/mu) int_0^inf (1 - E N(t)/(P+1))^+ dt with E N(t) <= a e^t - 1/mu, all constants shown.

    With a = (mu + mu2)/mu^2, b = -1/mu and Q = P + 1 >= a + b = mu2/mu^2 the integral is
    (1 - b/Q) ln((Q - b)/a) - 1 + (a + b)/Q. Source: ours, from arXiv 2512.11718v1, Lemma 6, which stops at
    E[T_P]; the step from E[T] to E N is Markov's inequality as in Lemma 5 there. Raises InvalidInput for
    moments or a budget out of range.
    """
    return _iid_bound(
        name="lemma_6",
        value=tokens_from_moments(_lemma_6_value, mu, mu2, node_budget),
        source="ours, finite-P form of arXiv 2512.11718v1, Lemma 6",
        origin="ours",
        validity=_FLOOR,
    )


def _lemma_6_value(mu: float, m: float, budget: int) -> float:
    nodes = budget + 1.0
    if nodes <= m:
        return 1.0
    # ln((Q - b)/a) with the digits of 1/mu cancelled beforehand.
    logarithm = log1p((nodes - m) / (m + 1.0 / mu))
    return (logarithm + logarithm / (mu * nodes) - 1.0 + m / nodes) / mu


def two_moments_lower(mu: float, mu2: float, node_budget: int) -> Bound:
    """E[X] >= (T (1 + 1/(mu Q)) - 1)/mu with Q = P + 1, T = ln((Q + 1/mu)/(1/mu + m/e)), m = mu2/mu^2.

    For Q >= m + (e - 1)/mu, which is T >= 1. In between, for Q > m: T = ln(1 + mu (Q - m)) and
    (T (1 + (1/mu - m)/Q) - 1 + m/Q)/mu. As `lemma_6`, but x/mu <= U(x) <= x/mu + m enters the integral of
    E N(t) over t instead of E N(t) itself, so m is paid on the last nat only; never below `lemma_6`. Source:
    ours (docs/theory/limits.md, section 2). Raises InvalidInput for moments or a budget out of range.
    """
    return _iid_bound(
        name="two_moments_lower",
        value=tokens_from_moments(_two_moments_value, mu, mu2, node_budget),
        source="ours; from Wald's identity as in arXiv 2512.11718v1, Lemma 6",
        origin="ours",
        validity=_FLOOR,
    )


def _two_moments_value(mu: float, m: float, budget: int) -> float:
    nodes = budget + 1.0
    if nodes >= m + (e - 1.0) / mu:
        # ln((Q + 1/mu)/(1/mu + m/e)) with the digits of 1/mu cancelled beforehand.
        threshold = log1p(mu * (nodes - m / e) / (1.0 + mu * m / e))
        return (threshold + threshold / (mu * nodes) - 1.0) / mu
    if nodes > m:
        threshold = log1p(mu * (nodes - m))
        return (threshold + threshold * (1.0 / mu - m) / nodes - 1.0 + m / nodes) / mu
    return 1.0


def lemma_6_renewal(law: StepLaw, node_budget: int) -> Bound:
    """The bound of `lemma_6` with E N(t) of the measured step law instead of its two-moment envelope.

    The lattice count of at most P + 1 nodes among depths up to P is an upper one, so the value is a lower
    bound at any width. Source: ours. Raises InvalidInput for a budget out of range.
    """
    budget = check_node_budget(node_budget)
    value = float(budget)
    if law.mu > 0.0:
        count = refined_node_count(law, budget + 1)
        free = 1.0 - count.expected_nodes / (budget + 1.0)
        value = max(1.0, float(np.maximum(free, 0.0).sum()) * count.width / law.mu)
    return _iid_bound(
        name="lemma_6_renewal",
        value=value,
        source="ours, finite-P form of arXiv 2512.11718v1, Lemma 6, on the measured step law",
        origin="ours",
        validity=_FLOOR,
    )


def lemma_6_printed(mu: float, expected_threshold: float) -> Bound:
    """E[X] >= E[T_P]/mu for a known E[T_P], the mean of the P-th smallest V, nats.

    Source: arXiv 2512.11718v1, Lemma 6. Its proof writes P(v) where V(v) is meant, twice, and asks for the
    non-arithmetic assumption without using it. Raises InvalidInput unless mu > 0 and the threshold is
    finite and >= 0.
    """
    if check_entropy(mu) == 0.0 or not isfinite(expected_threshold) or expected_threshold < 0.0:
        raise InvalidInput(
            f"Lemma 6 divides a mean surprisal >= 0 by mu > 0, got E[T_P] = {expected_threshold} and "
            f"mu = {mu}; "
            "at mu = 0 the optimum is P itself"
        )
    return _iid_bound(
        name="lemma_6_printed",
        value=expected_threshold / mu,
        source="arXiv 2512.11718v1, Lemma 6",
        origin="as printed",
        validity="mu > 0; needs E[T_P] itself, which two moments do not give",
    )
