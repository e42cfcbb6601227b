"""Upper bounds on the expected tokens per target call that need two moments, or fewer, of the target.

Throughout, mu = E[h] and mu2 = E[s] over contexts, with h the entropy of the target's law there and
s = sum p (ln p)^2 (nats, nats^2). mu = 0 (a greedy target) leaves no limit but P: every function then
returns P.
"""

from __future__ import annotations

from functools import partial
from math import exp, expm1, inf, log, log1p

from speclight.errors import InvalidInput
from speclight.theory.bisection import increasing_root
from speclight.theory.bound import (
    MOMENT_RTOL,
    Assumption,
    Bound,
    check_entropy,
    check_node_budget,
)
from speclight.theory.iid.two_moments import tokens_from_moments

_iid_bound = partial(
    Bound, side="upper", assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_CONTEXTS)
)


def trivial(node_budget: int) -> Bound:
    """E[X] <= P: each token emitted needs its own scored position.

    Source: arXiv 2512.11718v1, Section 3 (there as delta >= 1/P). Raises InvalidInput if P < 1.
    """
    budget = check_node_budget(node_budget)
    return Bound(
        name="trivial",
        value=float(budget),
        side="upper",
        assumptions=(),
        source="arXiv 2512.11718v1, Section 3 (delta >= 1/P)",
        origin="as printed",
        validity="every P >= 1, every target, every way of drafting",
    )


def theorem_1(mu: float, mu2: float, node_budget: int) -> Bound:
    """E[X] <= a ln((P - b)/a) + a + b with a = (mu + mu2)/mu^2, b = 1 - 1/mu; P below a + b.

    The formula equals P at P = a + b = 1 + mu2/mu^2 and falls below the truth for smaller P, so it is
    never used there. Its proof rests on Lemma 3, whose appendix has an off-by-one error that happens not
    to change this result (docs/theory/errata.md). Source: arXiv 2512.11718v1, Theorem 1, the precise form.
    Raises InvalidInput for moments or a budget out of range.
    """
    return _iid_bound(
        name="theorem_1",
        value=tokens_from_moments(_theorem_1_value, mu, mu2, node_budget),
        source="arXiv 2512.11718v1, Theorem 1",
        origin="as printed",
        validity="P >= 1 + mu2/mu^2; below that, and at mu = 0, P itself is returned",
    )


def _theorem_1_value(mu: float, m: float, budget: int) -> float:
    if budget <= 1.0 + m:
        return inf
    # (P - b)/a = 1 + (P - 1 - m)/a and a + b = 1 + m: for small mu, a and b cancel digits.
    a = m + 1.0 / mu
    return a * log1p((budget - 1.0 - m) / a) + 1.0 + m


def sharpened_theorem_1(mu: float, mu2: float, node_budget: int) -> Bound:
    """Theorem 1 with the correct renewal envelope: int_0^inf e^-t min(P, g(t)) dt in closed form.

    The spine's renewal function is the mean of a first passage strictly above x, so Wald and Lorden give
    max(1, x/mu) <= U(x) <= x/mu + m with m = mu2/mu^2, one less on both sides than the paper's appendix,
    and hence E N(t) <= g(t) of `branching.expected_node_ceiling`. Never above Theorem 1; below it by
    1 + mu/2 for large P. Source: ours; the paper's Theorem 1 (arXiv 2512.11718v1) is the looser form.
    Raises InvalidInput for moments or a budget out of range.
    """
    return _iid_bound(
        name="sharpened_theorem_1",
        value=tokens_from_moments(_sharpened_value, mu, mu2, node_budget),
        source="ours; sharpens arXiv 2512.11718v1, Theorem 1",
        origin="ours",
        validity="every P >= 1; P itself is returned for P <= mu2/mu^2 and at mu = 0",
    )


def _sharpened_value(mu: float, m: float, budget: int) -> float:
    """The integral, for P > m; the threshold t* solves g(t*) = P."""
    if budget <= m:
        return inf
    # In logs: e^mu overflows for a (meaningless, but allowed) entropy of thousands of nats.
    if budget > 1 and log(budget - 1.0) >= log(m) + mu:
        a, scaled_c = m + 1.0 / mu, exp(-mu) - 1.0 / mu  # E N(t) <= a e^t + c, here c e^-mu
        beyond_mu = log1p((budget - 1.0) * mu * exp(-mu)) - log1p(m * mu)  # t* - mu
        up_to_mu = mu / 2.0 + (m - 1.0) * mu - expm1(-mu)
        return up_to_mu + a * beyond_mu - scaled_c * expm1(-beyond_mu) + budget * exp(-mu - beyond_mu)
    threshold = _crossing_below_mu(mu, m, budget)
    grown = threshold**2 / (2.0 * mu) + (m - 1.0) * threshold - expm1(-threshold)
    return grown + budget * exp(-threshold)


def _crossing_below_mu(mu: float, m: float, budget: int) -> float:
    """The t in [0, mu] with e^t (t/mu + m - 1) + 1 = P, for m < P <= m e^mu + 1."""

    def excess(t: float) -> float:
        return t / mu + m - 1.0 - (budget - 1.0) * exp(-t)

    return increasing_root(excess, 0.0, mu)


def two_moments(mu: float, mu2: float, node_budget: int) -> Bound:
    """E[X] <= m + ln(1 + mu (P - m))/mu with m = mu2/mu^2, for P >= m; P below.

    For every t, E[X] <= P e^-t + int_0^t U(x) e^(x-t) dx (the dual form of Jensen's integral, by parts);
    Lorden's U(x) <= x/mu + m and the best t, e^t = 1 + mu (P - m), give the value. Only the upper half of the
    envelope enters, so it is never above `sharpened_theorem_1`, and its slope in ln P is 1/mu, the true one.
    Source: ours (docs/theory/limits.md, section 2). Raises InvalidInput for moments or a budget out of range.
    """
    return _iid_bound(
        name="two_moments",
        value=tokens_from_moments(
            lambda mu, m, budget: m + log1p(mu * (budget - m)) / mu if budget > m else inf,
            mu,
            mu2,
            node_budget,
        ),
        source="ours; from the moments of arXiv 2512.11718v1, Theorem 1",
        origin="ours",
        validity="every P >= 1; P itself is returned for P <= mu2/mu^2 and at mu = 0",
    )


def leaf_entropy(mu: float, node_budget: int, vocabulary_size: int) -> Bound:
    """E[X] <= ln(P (V - 1) + 1)/mu, V the largest number of tokens a context gives positive probability.

    Wald's identity makes mu E[X] the entropy of where the target leaves the tree, and a tree of P nodes
    has at most P (V - 1) + 1 ways out. Weak at small P; its slope 1/mu in ln P is the true one.
    Source: ours (the argument of arXiv 2504.15475 with the token itself as the accepted rank). Raises
    InvalidInput for arguments out of range.
    """
    check_entropy(mu)
    budget = check_node_budget(node_budget)
    if vocabulary_size < 1:
        raise InvalidInput(f"the vocabulary size must be at least 1, got {vocabulary_size}")
    largest = log(vocabulary_size)
    if mu > largest * (1.0 + MOMENT_RTOL):
        raise InvalidInput(
            f"a law on {vocabulary_size} tokens has at most ln({vocabulary_size}) = {largest:.6g} nats of "
            f"entropy, got mu = {mu:.6g}; give the largest support after truncation"
        )
    value = float(budget)
    if mu > 0.0:
        value = min(value, log1p(budget * (vocabulary_size - 1.0)) / mu)
    return _iid_bound(
        name="leaf_entropy",
        value=value,
        source="ours, after arXiv 2504.15475",
        origin="ours",
        validity="every P >= 1; P itself where it is smaller, and at mu = 0",
    )
