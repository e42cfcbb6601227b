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
