from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import thinned
from exact_optimum import largest_path_probabilities, mixture_optimum, single_law_optimum
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, best_upper
from speclight.theory.iid import leading_terms as limits
from speclight.theory.iid import lower as lower_bounds
from speclight.theory.iid import upper as upper_bounds
from speclight.theory.known import bounds_from_moments, known_from_law
from speclight.theory.laws import step_law
from speclight.theory.truth import branching

IID = frozenset({Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_CONTEXTS})
ROUNDING = 1e-9  # optima and closed forms are sums of at most 1,000 float64 terms of order 1
MIXTURE = ([[0.9, 0.1], [0.55, 0.45]], [0.5, 0.5])


def bounds_from_law(law: step_law.StepLaw, budget: int) -> tuple[Bound, ...]:
    return known_from_law(law).bounds(budget)


def quadrature(ceiling, mu: float, mu2: float, budget: int) -> float:
    """int_0^inf e^-t min(P, ceiling(t)) dt in u = e^-t, by the midpoint rule on 400,000 cells."""
    u = (np.arange(400_000) + 0.5) / 400_000
    return float(np.mean([min(budget, ceiling(mu, mu2, -np.log(x))) for x in u[::20]]))


def test_values_of_the_papers_table_are_met():
    # Llama-3.1-8B on HumanEval: arXiv 2512.11718v1, Table 1; P = 60 as in its Figure 1.
    assert upper_bounds.theorem_1(0.279, 0.777, 60).value == pytest.approx(31.7236, abs=5e-5)
    assert upper_bounds.sharpened_theorem_1(0.279, 0.777, 60).value == pytest.approx(30.832, abs=5e-4)
    assert limits.limit(0.279, 60).value == pytest.approx(14.675, abs=5e-4)
    leading = limits.theorem_1_leading_term(1.5, 4.0, 64)
    assert leading.value == pytest.approx((1.5 + 4.0) / 1.5**2 * np.log(64), abs=ROUNDING)


@pytest.mark.parametrize(("mu", "mu2"), [(0.279, 0.777), (1.1, 1.3), (3.0, 9.0), (2.0, 11.0)])
@pytest.mark.parametrize("budget", thinned([13, 60, 1, 3, 1000], 2))
def test_closed_forms_are_their_integrals(mu, mu2, budget):
    # Midpoint rule with 20,000 cells: the integrand is monotone and at most P, so the error is at most
    # P/20,000 in value.
    error = budget / 20_000 + ROUNDING
    if budget >= 1 + mu2 / mu**2:
        expected = quadrature(branching.lemma_3, mu, mu2, budget)
        assert upper_bounds.theorem_1(mu, mu2, budget).value == pytest.approx(expected, abs=error)
    else:
        assert upper_bounds.theorem_1(mu, mu2, budget).value == budget
    expected = quadrature(branching.expected_node_ceiling, mu, mu2, budget)
    assert upper_bounds.sharpened_theorem_1(mu, mu2, budget).value == pytest.approx(expected, abs=error)


@given(
    mu=st.floats(1e-4, 12.0),
    ratio=st.floats(1.0, 50.0),
    budget=st.integers(1, 10**6),
)
def test_order_of_the_moment_bounds(mu, ratio, budget):
    mu2 = ratio * mu * mu
    plain = upper_bounds.theorem_1(mu, mu2, budget).value
    sharp = upper_bounds.sharpened_theorem_1(mu, mu2, budget).value
    low = lower_bounds.lemma_6(mu, mu2, budget).value
    slack = 1e-9 * budget  # both forms cancel terms as large as P
    assert low <= sharp + slack
    assert sharp <= plain + slack
    assert plain <= budget
    assert low >= 1.0


def test_sharpening_gains_one_token_and_half_an_entropy():
    mu, mu2, budget = 0.7, 2.0, 10**9
    printed = upper_bounds.theorem_1(mu, mu2, budget).value
    sharpened = upper_bounds.sharpened_theorem_1(mu, mu2, budget).value
    assert printed - sharpened == pytest.approx(1 + mu / 2, abs=1e-6)  # the remainder is of order 1/P


@pytest.mark.parametrize("size", [2, 4, 8])
def test_uniform_laws_have_a_known_optimum(size):
    """P = (m^k - 1)/(m - 1) nodes fill k levels exactly: E[X] = k. Every bound lies on its side of k, and
    the renewal bound on the law's own lattice is k."""
    law = step_law.from_laws(np.full((1, size), 1 / size), width=float(np.log(size)) / 8)
    for levels in range(1, 7):
        budget = (size**levels - 1) // (size - 1)
        assert single_law_optimum([1 / size] * size, min(budget, 400)) == pytest.approx(
            levels if budget <= 400 else single_law_optimum([1 / size] * size, 400), abs=ROUNDING
        )
        by_name = {bound.name: bound for bound in bounds_from_law(law, budget)}
        for bound in by_name.values():
            if bound.side == "upper":
                assert bound.value >= levels - ROUNDING, bound.name
            if bound.side == "lower":
                assert bound.value <= levels + ROUNDING, bound.name
        assert by_name["renewal"].value == pytest.approx(levels, abs=ROUNDING)


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_bounds_against_the_enumerated_mixture(budget):
    laws, weights = MIXTURE
    optimum = mixture_optimum(laws, weights, budget)
    law = step_law.from_laws(laws, weights)
    for bound in bounds_from_law(law, budget):
        if bound.side == "upper":
            assert bound.value >= optimum - ROUNDING, bound.name
        if bound.side == "lower":
            assert bound.value <= optimum + ROUNDING, bound.name


@pytest.mark.parametrize("law", [[0.6, 0.4], [0.95, 0.03, 0.02], [0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]])
@pytest.mark.parametrize("budget", [1, 2, 3, 5, 9, 16, 64, 300])
def test_bounds_against_a_single_law(law, budget):
    """Exact optimum of a tree without chance. Also how far off the bounds may be, so that returning P, or
    1, fails: from P = 16 on the renewal bound is within 5% here."""
    optimum = single_law_optimum(law, budget)
    measured = step_law.from_laws([law])
    by_name = {bound.name: bound for bound in bounds_from_law(measured, budget)}
    for bound in by_name.values():
        if bound.side == "upper":
            assert bound.value >= optimum - ROUNDING, bound.name
        if bound.side == "lower":
            assert bound.value <= optimum + ROUNDING, bound.name
    if budget >= 16:
        assert by_name["renewal"].value <= 1.05 * optimum
        assert by_name["sharpened_theorem_1"].value <= by_name["theorem_1"].value < budget
        assert by_name["leaf_entropy"].value <= 3 * optimum
    if budget >= 64:
        assert by_name["theorem_1"].value < 0.75 * budget
        assert by_name["lemma_6_renewal"].value >= optimum / 3
        assert by_name["lemma_6_renewal"].value >= by_name["lemma_6"].value > 1.0


def test_limit_is_approached_by_the_optimum():
    """Corollary 1 on (0.7, 0.3): the optimum's slope in ln P over P = 2^6 .. 2^13 is 1/mu within 2%.

    The error is the oscillation of E N(t) e^-t about 1/mu, below 1% here, over a rise of 8 tokens."""
    law = [0.7, 0.3]
    rise = single_law_optimum(law, 2**13) - single_law_optimum(law, 2**6)
    mu = branching.single_law(law).mu
    expected = limits.corollary_1(mu, 2**13).value - limits.corollary_1(mu, 2**6).value
    assert rise == pytest.approx(expected, rel=0.02)


def test_lemma_5_below_lemma_6_limit():
    assert limits.lemma_5(0.5, 100).value == pytest.approx(
        (np.log(100) - np.log(np.log(100))) / 0.5, abs=ROUNDING
    )
    with pytest.raises(InvalidInput):
        limits.lemma_5(0.5, 1)


def test_lemma_6_printed_holds_with_the_true_threshold():
    law = [0.6, 0.4]
    for budget in (2, 5, 20, 100):
        threshold = -np.log(min(largest_path_probabilities(lambda _path: law, budget)))
        printed = lower_bounds.lemma_6_printed(branching.single_law(law).mu, float(threshold))
        assert printed.value <= single_law_optimum(law, budget) + ROUNDING


@pytest.mark.parametrize("budget", [1, 7, 60])
def test_a_greedy_target_has_no_limit_but_the_budget(budget):
    for bound in bounds_from_moments(0.0, 0.0, budget, vocabulary_size=10):
        assert bound.value == budget, bound.name
    greedy = step_law.from_laws([[1.0, 0.0]])
    for bound in bounds_from_law(greedy, budget):
        assert bound.value == budget, bound.name


def test_best_upper_takes_the_smallest_that_is_granted():
    bounds = bounds_from_moments(0.279, 0.777, 60, vocabulary_size=1000)
    assert best_upper(bounds, IID).name == "two_moments"
    assert best_upper(bounds, frozenset({Assumption.IID_CONTEXTS})).name == "trivial"
    assert best_upper(bounds, frozenset()).name == "trivial"
    everything = frozenset(Assumption)
    assert best_upper(bounds, everything).side == "upper"  # smaller asymptotic values are no bounds
    assert best_upper(bounds_from_moments(1.0, 30.0, 10**6, 4), IID).name == "leaf_entropy"
    with pytest.raises(InvalidInput, match="trivial"):
        best_upper([bound for bound in bounds if bound.side != "upper"], everything)


def test_every_bound_says_what_it_rests_on():
    law = step_law.from_laws(*MIXTURE)
    bounds = bounds_from_law(law, 8)
    names = [bound.name for bound in bounds]
    assert len(set(names)) == len(names)
    for bound in bounds:
        assert bound.source
        assert bound.validity
        if bound.name != "trivial":
            assert Assumption.IID_CONTEXTS in bound.assumptions
    sides = {bound.name: bound.side for bound in bounds}
    for name in ("limit", "corollary_1", "two_moments_limit", "lemma_5", "theorem_1_leading_term"):
        assert sides[name] == "asymptotic"


@pytest.mark.parametrize(
    ("mu", "mu2", "budget"),
    [(0.3, 0.05, 4), (-0.1, 0.1, 4), (0.3, np.nan, 4), (0.0, 0.1, 4), (0.3, 0.2, 0), (0.3, 0.2, 2.5)],
)
def test_moments_and_budgets_out_of_range_are_refused(mu, mu2, budget):
    for function in (
        upper_bounds.theorem_1,
        upper_bounds.sharpened_theorem_1,
        upper_bounds.two_moments,
        lower_bounds.two_moments_lower,
        limits.theorem_1_leading_term,
        lower_bounds.lemma_6,
    ):
        with pytest.raises(InvalidInput):
            function(mu, mu2, budget)


def test_more_entropy_than_the_vocabulary_holds_is_refused():
    with pytest.raises(InvalidInput, match="entropy"):
        upper_bounds.leaf_entropy(3.0, 8, 4)
    assert upper_bounds.leaf_entropy(float(np.log(4)), 1, 4).value == pytest.approx(1.0, abs=ROUNDING)


def test_an_infinite_value_is_no_bound():
    with pytest.raises(InvalidInput):
        Bound("x", float("inf"), "upper", (), "ours", "ours", "never")


def test_lemma_6_is_its_integral():
    for mu, mu2, budget in ((0.279, 0.777, 60), (1.1, 1.3, 13), (2.0, 11.0, 1000)):
        t = np.linspace(0.0, 30.0, 300_001)
        envelope = (mu + mu2) / mu**2 * np.exp(t) - 1.0 / mu
        integral = np.maximum(1.0 - envelope / (budget + 1.0), 0.0).sum() * (t[1] - t[0]) / mu
        expected = max(1.0, float(integral))
        # Left Riemann sum of a function falling from at most 1 to 0: one cell of 1e-4 nats too much.
        assert lower_bounds.lemma_6(mu, mu2, budget).value == pytest.approx(expected, abs=1.1e-4 / mu)


@pytest.mark.parametrize("levels", [3, 6, 10])
def test_lemma_6_on_the_step_law_by_hand(levels):
    """Two tokens of 1/2: N(t) = 2^(j+1) - 1 between j ln 2 and (j + 1) ln 2, so with P = 2^k - 1 the
    bound is the sum over j < k of 1 - (2^(j+1) - 1)/2^k = k - 2 + (k + 2)/2^k."""
    law = step_law.from_laws([[0.5, 0.5]], width=float(np.log(2)) / 8)
    value = lower_bounds.lemma_6_renewal(law, 2**levels - 1).value
    assert value == pytest.approx(levels - 2 + (levels + 2) / 2**levels, abs=ROUNDING)
