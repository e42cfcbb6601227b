"""Each entry of docs/theory/errata.md, recomputed: the printed statement fails, the corrected one holds."""

from __future__ import annotations

from math import comb, exp, log

import numpy as np
import pytest

from exact_optimum import largest_path_probabilities, single_law_optimum
from speclight.theory import runtime
from speclight.theory.iid import leading_terms as limits
from speclight.theory.iid import lemma_7 as imperfect_drafter
from speclight.theory.iid import lower as lower_bounds
from speclight.theory.iid import upper as upper_bounds
from speclight.theory.truth import branching
from speclight.theory.truth.branching import single_law

ROUNDING = 1e-9
HALVES = single_law([0.5, 0.5])
SKEWED = [0.8, 0.2]


def test_1_the_printed_lower_half_of_claim_2_is_false():
    mu, m = HALVES.mu, HALVES.mu2 / HALVES.mu**2
    exact = branching.renewal_function(HALVES, 0.5)
    printed = 0.5 / mu + 1.0
    assert exact == pytest.approx(1.0, abs=ROUNDING)
    assert printed == pytest.approx(1.72, abs=0.005)
    assert exact < printed
    for x in np.linspace(0.0, 6.0, 121):
        exact = branching.renewal_function(HALVES, float(x))
        assert exact == pytest.approx(np.floor(x / log(2) + ROUNDING) + 1, abs=ROUNDING)
        assert max(1.0, x / mu) - ROUNDING <= exact <= x / mu + m + ROUNDING  # corrected
        assert exact <= x / mu + 1.0 + m  # the printed upper half is true, by one too large


def test_1_the_error_cancels_in_lemma_3():
    """Lemma 3 with the printed halves, e^t (t/mu + 1 + m) - int (x/mu + 1) e^x dx, equals, to the constant 1,
    the form with the correct halves; both dominate the exact count."""
    mu, m = HALVES.mu, HALVES.mu2 / HALVES.mu**2
    for t in np.linspace(0.01, 5.0, 50):
        lower_integral = (exp(t) * (t - 1.0) + 1.0) / mu  # of x/mu e^x
        printed = exp(t) * (t / mu + 1.0 + m) - lower_integral - (exp(t) - 1.0)
        corrected = exp(t) * (t / mu + m) - lower_integral
        assert printed == pytest.approx(branching.lemma_3(mu, HALVES.mu2, float(t)), rel=ROUNDING)
        assert printed - corrected == pytest.approx(1.0, abs=1e-9)
        assert branching.expected_node_count(HALVES, float(t)) <= corrected + ROUNDING


MISS_TARGET, MISS_DRAFTER = [0.45, 0.45, 0.1], [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("levels", "truth", "printed", "leading", "at_budget"),
    [(3, 2.71, 2.81, 2.38, 2.50), (10, 6.51, 10.00, 5.26, 5.26), (20, 8.78, 10.00, 6.90, 6.90)],
)
def test_2_lemma_7_is_false_as_printed(levels, truth, printed, leading, at_budget):
    moments = imperfect_drafter.drafter_moments([MISS_TARGET], [MISS_DRAFTER])
    budget = 2**levels - 1
    hits, misses = moments.cross_entropy_on_hits, moments.miss_probability
    exact = sum(0.9**level for level in range(levels))  # level d: 2^d nodes of target probability 0.45^d
    as_printed = imperfect_drafter.lemma_7_printed(moments.mean_ratio, misses, budget).value
    corrected = imperfect_drafter.lemma_7_corrected_leading_order(hits, misses, budget).value
    # N_q(t-) = P at t = k ln 2: P + 1 nodes below it are impossible.
    threshold = levels * log(2)
    exact_threshold = imperfect_drafter.lemma_7_corrected_at_threshold(hits, misses, threshold, 0.0).value
    table = [exact, as_printed, corrected, exact_threshold]
    np.testing.assert_allclose(table, [truth, printed, leading, at_budget], rtol=0, atol=0.0051)
    assert exact < as_printed
    assert exact_threshold <= exact
    assert exact < 1.0 / misses


def test_2_the_ratio_to_the_printed_value_tends_to_one_and_is_least_in_between():
    """Along P = 2^k - 1: E[X] over the printed value is 0.65 near the crossing P = e^(m/eps), and 0.998 at
    k = 60. To leading order the corrected value is half the printed one at the crossing."""
    moments = imperfect_drafter.drafter_moments([MISS_TARGET], [MISS_DRAFTER])
    hits, misses = moments.cross_entropy_on_hits, moments.miss_probability

    def ratio(levels: int) -> float:
        exact = (1.0 - 0.9**levels) / 0.1
        return exact / imperfect_drafter.lemma_7_printed(moments.mean_ratio, misses, 2**levels - 1).value

    ratios = [ratio(levels) for levels in range(3, 61)]
    assert min(ratios) == pytest.approx(0.651, abs=5e-4)
    assert int(np.argmin(ratios)) + 3 == 10
    assert ratios[-1] == pytest.approx(0.998, abs=5e-4)
    assert ratios[7:] == sorted(ratios[7:])
    crossing = round(exp(hits / misses))  # eps ln P = m
    corrected = imperfect_drafter.lemma_7_corrected_leading_order(hits, misses, crossing).value
    assert corrected * misses == pytest.approx(0.5, abs=1e-3)


def test_2_the_printed_terms_can_exceed_the_budget():
    """mu_CE = 0.1, no misses, P = 2: ln(2)/0.1 = 6.9 tokens from two positions."""
    assert log(2) / 0.1 > 2.0
    assert imperfect_drafter.lemma_7_printed(0.1, 0.0, 2).value == 2.0
    assert imperfect_drafter.lemma_7_corrected_leading_order(0.1, 0.0, 2).value == 2.0


def test_2_the_three_cross_entropies_differ():
    moments = imperfect_drafter.drafter_moments([[0.5, 0.5], [0.9, 0.1]], [[1.0, 0.0], [0.5, 0.5]])
    assert moments.mean_ratio == pytest.approx(0.347, abs=5e-4)
    assert moments.conditional == pytest.approx(0.462, abs=5e-4)
    assert moments.full_cross_entropy == np.inf


def test_3_the_remainder_of_lemma_4_is_unbounded():
    mu = single_law(SKEWED).mu
    gap = 0.0
    for t in np.linspace(24.5, 25.0, 201):
        gap = max(gap, abs(branching.node_count(SKEWED, float(t)) - branching.lemma_4(mu, float(t))))
    assert gap == pytest.approx(5.67e9, rel=0.01)
    for one, other in ((3, 1), (12, 4), (40, 6)):
        atom = -one * log(0.8) - other * log(0.2)
        jump = branching.node_count(SKEWED, atom) - branching.node_count(SKEWED, atom - 1e-7)
        assert jump == comb(one + other, one)


def test_4_a_shifted_grid_is_not_arithmetic():
    positions = [-log(0.8), -log(0.2)]
    shift, spacing = positions[0], positions[1] - positions[0]
    assert all(((x - shift) / spacing) % 1.0 == pytest.approx(0.0, abs=ROUNDING) for x in positions)
    assert branching.arithmetic_span(positions) is None
    process = single_law(SKEWED)

    def worst(start: float, law: branching.PointProcess) -> float:
        points = np.linspace(start, start + 1.0, 81)
        ratios = [
            branching.expected_node_count(law, float(t)) / branching.lemma_4(law.mu, float(t)) for t in points
        ]
        return float(np.abs(np.array(ratios) - 1.0).max())

    assert worst(13.0, process) < 0.062 < 0.18 < worst(2.0, process)
    # Needlessly strong, not false: whatever the printed definition admits, the usual one admits as well.
    # A truly arithmetic law never settles; its ratio at lattice points is 2 ln 2 and falls to ln 2 between.
    assert branching.arithmetic_span([log(2), log(2)]) == pytest.approx(log(2))
    assert worst(13.0, HALVES) == pytest.approx(worst(5.0, HALVES), abs=0.05)
    assert worst(13.0, HALVES) > 0.3


def test_5_the_last_display_is_reversed():
    """Drafter (0.5, 0.5) of a target (0.8, 0.2): slopes of E[X] in ln P, over whole levels of the tree."""
    moments = imperfect_drafter.drafter_moments([SKEWED], [[0.5, 0.5]])
    mu = single_law(SKEWED).mu
    assert moments.mean_ratio > mu
    drafted = 20.0  # full binary tree of P = 2^20 - 1 nodes, each level accepted with probability 1
    budget = 2**20 - 1
    below, above = log(budget) / moments.mean_ratio, limits.limit(mu, budget).value
    assert below <= drafted <= above
    assert not above <= drafted <= 0.99 * below  # as printed


def test_5_with_misses_the_cross_entropy_may_be_the_smaller():
    """p = (1/2, 1/2), q = (1, 0): mu_CE = 0 on the hits, mu = ln 2; Gibbs' inequality needs eps = 0. The
    drafted path of P nodes emits 2 - 2^(1-P) < 2 tokens, far below ln P over a mu_CE of 0."""
    moments = imperfect_drafter.drafter_moments([[0.5, 0.5]], [[1.0, 0.0]])
    assert moments.mean_ratio == 0.0 < single_law([0.5, 0.5]).mu
    assert moments.miss_probability == 0.5


def test_6_the_limit_needs_no_assumption_3():
    """Two tokens of 1/2, excluded by Assumption 3: E[X] = k at P = 2^k - 1, and ln P/mu stays within 0.5 of
    it, for ever; the two-moment bounds say as much for every law."""
    for budget in (2, 3, 50, 1000, 4095, 4096, 6143, 10_000):
        gap = single_law_optimum([0.5, 0.5], budget) - limits.two_moments_limit(HALVES.mu, budget).value
        assert -0.5 <= gap <= 0.5


def test_8_theorem_1_grows_with_the_second_moment():
    """The Discussion says a larger mu2 lowers the achievable speed-up; each bound from it rises."""
    for bound in (upper_bounds.theorem_1, upper_bounds.sharpened_theorem_1, upper_bounds.two_moments):
        values = [bound(0.5, mu2, 60).value for mu2 in (0.25, 0.5, 1.0, 2.0, 4.0)]
        assert values == sorted(values)
        assert values[-1] > values[0] + 5.0


def test_9_steps_of_zero_keep_the_renewal_bounds():
    """Half of the contexts certain: the spine stands still with probability 1/2, which `positive` excludes;
    Assumption 2 allows it. max(1, x/mu) <= U <= x/mu + m holds all the same, and U(0) = 2, not 1."""
    process = branching.PointProcess(laws=np.array([[1.0, 0.0], [0.5, 0.5]]), weights=np.array([0.5, 0.5]))
    mu, m = process.mu, process.mu2 / process.mu**2
    walk = np.cumsum(np.random.default_rng(5).random((4000, 60)) < 0.5, axis=1) * log(2)
    for x in (0.0, 0.5, 1.0, 2.0, 3.0):
        # Levels of ln 2 are left after a geometric number of steps, 2 on average.
        exact = 2.0 * (np.floor(x / log(2)) + 1.0)
        simulated = 1.0 + (walk <= x + ROUNDING).sum(axis=1)
        # Standard error of a sum of at most 5 geometric times over 4,000 walks: 0.05; 5 of them.
        assert simulated.mean() == pytest.approx(exact, abs=0.25)
        assert max(1.0, x / mu) <= exact <= x / mu + m + ROUNDING


def test_7_theorem_1_is_no_bound_below_its_range():
    law = [0.97, 0.03]
    process = single_law(law)
    a, b = (process.mu + process.mu2) / process.mu**2, 1.0 - 1.0 / process.mu
    formula = a * log((2 - b) / a) + a + b
    optimum = single_law_optimum(law, 2)
    assert 2 < a + b
    assert optimum == pytest.approx(1.97)
    assert formula == pytest.approx(-11.8, abs=0.05)
    assert formula < optimum
    assert upper_bounds.theorem_1(process.mu, process.mu2, 2).value == 2.0


def test_misprint_the_last_step_of_lemma_3_is_an_inequality():
    assert branching.expected_node_count(HALVES, 1.0) < 0.6 * branching.lemma_3(HALVES.mu, HALVES.mu2, 1.0)


def test_misprint_delta_is_the_inverse_of_the_speed_up():
    """Two tokens per call take half the time: delta 1/2, speed-up 2; more parallelism raises the latter."""
    small, large = (runtime.runtime_floor(upper_bounds.theorem_1(0.5, 0.6, budget)) for budget in (16, 64))
    assert runtime.runtime_floor(upper_bounds.trivial(2)).delta == 0.5
    assert large.delta < small.delta
    assert large.speed_up_ceiling > small.speed_up_ceiling


def test_misprint_lemma_6_means_positions():
    """With T_P = max P(v) = 1 the printed proof would give E[X] >= 1/mu; with V it gives a true bound."""
    law, budget = [0.8, 0.2], 5
    tree = largest_path_probabilities(lambda _path: law, budget)
    mu, optimum = single_law(law).mu, sum(tree)
    assert max(tree) == 1.0
    assert lower_bounds.lemma_6_printed(mu, -log(min(tree))).value <= optimum
    certain = [0.99, 0.01]
    assert 1.0 / single_law(certain).mu > single_law_optimum(certain, budget)


def test_misprint_lemma_1_counts_depths_from_zero():
    """Summing Pr[a node at depth d is accepted] from d = 1 leaves the root out: short of E[X] by 1."""
    law, budget = [0.6, 0.4], 6
    total = single_law_optimum(law, budget)
    # Best tree: root, .6, .4, .36, .24, .24
    below_root = 0.6 + 0.4 + 0.36 + 0.24 + 0.24
    assert total == pytest.approx(1.0 + below_root, abs=ROUNDING)


def test_misprint_drafted_tokens_are_one_fewer_than_positions():
    """A certain target: P positions emit exactly P tokens with P - 1 drafted; P drafted would emit P + 1."""
    assert single_law_optimum([1.0, 0.0], 5) == 5.0
