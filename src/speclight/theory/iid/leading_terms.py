"""Leading terms as the node budget grows. None of them bounds anything at a finite P."""

from __future__ import annotations

from math import log

from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_entropy, check_moments, check_node_budget

_IID = (Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_CONTEXTS, Assumption.LARGE_BUDGET)
_GREEDY = "at mu = 0 every tree of P nodes can hold P certain tokens and P is returned"


def theorem_1_leading_term(mu: float, mu2: float, node_budget: int) -> Bound:
    """The term a ln P with a = (mu + mu2)/mu^2: Theorem 1 without its O(1) term (of either sign).

    Source: arXiv 2512.11718v1, Theorem 1, first display. Raises InvalidInput for moments or a budget out
    of range.
    """
    mu2, budget = check_moments(mu, mu2), check_node_budget(node_budget)
    value = float(budget) if mu == 0.0 else (mu2 / mu / mu + 1.0 / mu) * log(budget)
    return Bound(
        name="theorem_1_leading_term",
        value=value,
        side="asymptotic",
        assumptions=_IID,
        source="arXiv 2512.11718v1, Theorem 1, leading term",
        origin="as printed",
        validity=f"omits a term bounded in P; {_GREEDY}",
    )


def limit(mu: float, node_budget: int) -> Bound:
    """ln(P)/mu, the leading term of the largest possible E[X] from above (o(ln P) omitted).

    Source: arXiv 2512.11718v1, Theorem 3. The paper asks for P >= 1 + mu2/mu^2 there, which is not needed,
    and not for the non-arithmetic Assumption 3 that its proof uses. Raises InvalidInput for an entropy or
    a budget out of range.
    """
    return Bound(
        name="limit",
        value=_log_budget_over_entropy(mu, node_budget),
        side="asymptotic",
        assumptions=(*_IID, Assumption.NON_ARITHMETIC),
        source="arXiv 2512.11718v1, Theorem 3",
        origin="as printed",
        validity=f"leading order only; {_GREEDY}",
    )


def corollary_1(mu: float, node_budget: int) -> Bound:
    """E[X] ~ ln(P)/mu from both sides: the optimum over the value tends to 1 as P grows.

    Source: arXiv 2512.11718v1, Corollary 1 (Theorem 3 with Lemmas 5 and 6; the lower half needs an
    infinite tree). Raises InvalidInput for an entropy or a budget out of range.
    """
    return Bound(
        name="corollary_1",
        value=_log_budget_over_entropy(mu, node_budget),
        side="asymptotic",
        assumptions=(*_IID, Assumption.NON_ARITHMETIC, Assumption.INFINITE_TREE),
        source="arXiv 2512.11718v1, Corollary 1",
        origin="as printed",
        validity=f"leading order only; {_GREEDY}",
    )


def two_moments_limit(mu: float, node_budget: int) -> Bound:
    """ln(P)/mu, for E[X] = ln(P)/mu + O(1): both constants known, no condition on the law of the surprisals.

    `upper.two_moments` and `lower.two_moments_lower` hold for every law with mu > 0 and finite mu2 and both
    have the slope 1/mu; their difference tends to m + (1 + ln(1 + mu m/e))/mu, m = mu2/mu^2. Source: ours;
    arXiv 2512.11718v1, Theorem 3 and Corollary 1, without Assumption 3 and with O(1) for o(ln P). Raises
    InvalidInput for an entropy or a budget out of range.
    """
    return Bound(
        name="two_moments_limit",
        value=_log_budget_over_entropy(mu, node_budget),
        side="asymptotic",
        assumptions=(*_IID, Assumption.INFINITE_TREE),
        source="ours; arXiv 2512.11718v1, Theorem 3 and Corollary 1, without Assumption 3",
        origin="ours",
        validity=f"up to a term bounded in P, on either side; {_GREEDY}",
    )


def lemma_5(mu: float, node_budget: int) -> Bound:
    """(ln P - ln ln P)/mu: what Lemma 5, put into Lemma 6, says of E[X] from below, O(1) omitted.

    Source: arXiv 2512.11718v1, Lemmas 5 and 6; the constant hidden in O(1) is not given there, and
    `lower_bounds.lemma_6` is the form with all constants. Raises InvalidInput for arguments out of range
    or P < 2.
    """
    budget = check_node_budget(node_budget)
    value = float(budget) if check_entropy(mu) == 0.0 else lemma_5_threshold(budget) / mu
    return Bound(
        name="lemma_5",
        value=value,
        side="asymptotic",
        assumptions=(*_IID, Assumption.NON_ARITHMETIC, Assumption.INFINITE_TREE),
        source="arXiv 2512.11718v1, Lemma 5 through Lemma 6",
        origin="as printed",
        validity=f"P >= 2, leading order only; {_GREEDY}",
    )


def lemma_5_threshold(node_budget: int) -> float:
    """Lemma 5's lower estimate ln P - ln ln P (nats) of E[T_P], the P-th smallest V; O(1) omitted.

    Source: arXiv 2512.11718v1, Lemma 5. Raises InvalidInput for P < 2, where ln ln P does not exist.
    """
    budget = check_node_budget(node_budget)
    if budget < 2:
        raise InvalidInput(f"ln ln P needs P >= 2, got {budget}")
    return log(budget) - log(log(budget))


def _log_budget_over_entropy(mu: float, node_budget: int) -> float:
    budget = check_node_budget(node_budget)
    return float(budget) if check_entropy(mu) == 0.0 else log(budget) / mu
