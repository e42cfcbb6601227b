from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_optimum import largest_path_probabilities
from speclight.errors import InvalidInput
from speclight.theory.truth import branching
from speclight.theory.truth.branching import PointProcess, single_law

ROUNDING = 1e-9  # sums of at most 10^5 float64 terms of order 1
MIXTURE = PointProcess(np.array([[0.8, 0.2, 0.0], [0.5, 0.3, 0.2]]), np.array([0.4, 0.6]))


def over_all_trees(process: PointProcess, generation: int, function) -> float:
    """E[sum over a generation] with a law drawn for every context separately: no linearity used."""
    tokens = process.laws.shape[1]
    contexts = [path for depth in range(generation) for path in product(range(tokens), repeat=depth)]
    total = 0.0
    for kinds in product(range(len(process.weights)), repeat=len(contexts)):
        tree = dict(zip(contexts, kinds, strict=True))
        value = 0.0
        for path in product(range(tokens), repeat=generation):
            steps = [process.laws[tree[path[:depth]], token] for depth, token in enumerate(path)]
            if min(steps) > 0.0:
                value += float(function(np.array([-np.log(steps).sum()]))[0])
        total += value * float(np.prod(process.weights[list(kinds)]))
    return total


@pytest.mark.parametrize("theta", [0.5, 1.0, 2.3])
@pytest.mark.parametrize("generation", [1, 2])
def test_many_to_one_lemma(theta, generation):
    def function(positions):
        return np.where(positions <= 1.9, np.sqrt(positions), 0.25)

    trees = over_all_trees(MIXTURE, generation, function)
    nodes = branching.sum_over_generation(MIXTURE, generation, function)
    walk = branching.mean_along_walk(MIXTURE, generation, theta, function)
    assert nodes == pytest.approx(trees, abs=ROUNDING)
    assert walk == pytest.approx(trees, abs=ROUNDING)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5), st.integers(0, 4), st.floats(0.2, 3.0))
def test_many_to_one_for_any_law(raw, generation, theta):
    process = single_law(np.array(raw) / np.sum(raw))

    def function(positions):
        return np.exp(-positions) / (1.0 + positions)

    assert branching.mean_along_walk(process, generation, theta, function) == pytest.approx(
        branching.sum_over_generation(process, generation, function), rel=ROUNDING
    )


def test_log_laplace_at_one():
    step = 1e-5
    assert branching.log_laplace(MIXTURE, 1.0) == pytest.approx(0.0, abs=ROUNDING)
    slope = (branching.log_laplace(MIXTURE, 1 + step) - branching.log_laplace(MIXTURE, 1 - step)) / (2 * step)
    assert slope == pytest.approx(-MIXTURE.mu, abs=1e-8)  # central difference: error of order step^2
    curvature = (branching.log_laplace(MIXTURE, 1 + 1e-3) + branching.log_laplace(MIXTURE, 1 - 1e-3)) / 1e-6
    assert curvature == pytest.approx(MIXTURE.mu2 - MIXTURE.mu**2, rel=1e-4)
    assert branching.log_laplace(MIXTURE, 1e-12) == pytest.approx(np.log(0.4 * 2 + 0.6 * 3), abs=1e-6)


def test_spine_walk_has_the_step_law():
    """40,000 walks of 3 steps, fixed seed: mean and second moment within 5 standard errors, false alarm
    below 2e-6; a spine that picked children uniformly would be off by more than 30."""
    noise = np.random.default_rng(12).random((40_000, 3))
    walks = branching.spine_walk(MIXTURE, noise)
    np.testing.assert_array_equal(walks, branching.spine_walk(MIXTURE, noise))
    assert (walks[:, 0] == 0.0).all()
    for increments in np.diff(walks, axis=1).T:
        for sample, truth in ((increments, MIXTURE.mu), (increments**2, MIXTURE.mu2)):
            assert abs(sample.mean() - truth) < 5 * sample.std() / 200


@pytest.mark.parametrize("law", [[0.8, 0.2], [0.5, 0.5], [0.4, 0.3, 0.3], [0.97, 0.02, 0.01, 0.0]])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 2.5, np.log(8)])
def test_node_count_against_search(law, threshold):
    probabilities = largest_path_probabilities(lambda _path: law, 3000)
    searched = sum(-np.log(p) <= threshold + branching.POSITION_ATOL for p in probabilities)
    assert -np.log(probabilities[-1]) > threshold, "the search must reach beyond t"
    assert branching.node_count(law, threshold) == searched
    assert branching.expected_node_count(single_law(law), threshold) == pytest.approx(searched, rel=1e-12)


def test_expected_node_count_of_a_mixture_sums_the_generations():
    threshold = 1.2
    direct = sum(
        branching.sum_over_generation(MIXTURE, depth, lambda v: (v <= threshold).astype(float))
        for depth in range(9)  # a step is at least -ln 0.8, so generation 6 lies beyond 1.2 nats
    )
    assert branching.expected_node_count(MIXTURE, threshold) == pytest.approx(direct, abs=ROUNDING)


def test_certain_contexts_are_summed_in_closed_form():
    process = PointProcess(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.25, 0.75]))
    direct = sum(
        branching.sum_over_generation(process, depth, lambda v: (v <= 0.8).astype(float))
        for depth in range(20)
    )
    # Generation d holds at most d + 1 groups of weight 0.25^(d-1): past 20 less than 1e-9 in all.
    assert branching.expected_node_count(process, 0.8) == pytest.approx(direct, abs=ROUNDING)
    with pytest.raises(InvalidInput, match="certain"):
        branching.expected_node_count(single_law([1.0]), 1.0)
    with pytest.raises(InvalidInput, match="infinitely"):
        branching.node_count([0.0, 1.0], 1.0)


@given(
    raw=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=3),
    threshold=st.floats(0.0, 3.0),
)
def test_ceilings_hold(raw, threshold):
    process = single_law(np.array(raw) / np.sum(raw))
    mu, mu2 = process.mu, process.mu2
    exact = branching.expected_node_count(process, threshold)
    sharp = branching.expected_node_ceiling(mu, mu2, threshold)
    assert exact <= sharp * (1 + ROUNDING)
    assert sharp <= branching.lemma_3(mu, mu2, threshold) * (1 + ROUNDING)
    renewal = branching.renewal_function(process, threshold)
    assert max(1.0, threshold / mu) - ROUNDING <= renewal <= threshold / mu + mu2 / mu**2 + ROUNDING


def test_ceiling_is_continuous_and_increasing():
    mu, mu2 = 0.8, 1.4
    points = np.linspace(0.0, 4.0, 4001)
    values = np.array([branching.expected_node_ceiling(mu, mu2, float(t)) for t in points])
    assert (np.diff(values) > 0).all()
    gap = branching.expected_node_ceiling(mu, mu2, mu + 1e-9) - branching.expected_node_ceiling(mu, mu2, mu)
    assert abs(gap) < 1e-7


def test_renewal_function_counts_sampled_tokens():
    """U(x) = E[first d with S_d > x]: 40,000 walks, fixed seed, within 5 standard errors (false alarm
    6e-7). Counting the passage at or above x instead would be off by Pr[S hits x], here 12 errors."""
    process = single_law([0.5, 0.5])
    walks = branching.spine_walk(process, np.random.default_rng(3).random((40_000, 6)))
    level = 2 * np.log(2)
    passage = (walks <= level + branching.POSITION_ATOL).sum(axis=1)
    assert branching.renewal_function(process, level) == pytest.approx(passage.mean(), abs=1e-12) == 3.0
    walks = branching.spine_walk(MIXTURE, np.random.default_rng(3).random((40_000, 25)))
    passage = (walks <= 1.5).sum(axis=1)
    assert abs(branching.renewal_function(MIXTURE, 1.5) - passage.mean()) < 5 * passage.std() / 200


def test_lemma_4_on_a_non_arithmetic_law():
    """Law (0.5, 0.3, 0.2): E N(t) e^-t mu - 1 is at most 17% near 2.5 nats and 3% near 13.5: it vanishes,
    slowly. A constant off by 5%, or the arithmetic form in its place, fails."""
    process = single_law([0.5, 0.3, 0.2])

    def worst(start: float) -> float:
        points = np.linspace(start, start + 1.0, 41)
        exact = np.array([branching.expected_node_count(process, float(t)) for t in points])
        limit = np.array([branching.lemma_4(process.mu, float(t)) for t in points])
        return float(np.abs(exact / limit - 1.0).max())

    assert worst(13.0) < 0.03 < worst(5.0) < worst(2.0) < 0.18


@pytest.mark.parametrize("size", [2, 3, 8])
def test_lemma_4_on_a_lattice(size):
    span = float(np.log(size))
    process = single_law(np.full(size, 1 / size))
    for level in (3, 6, 9):
        exact = branching.node_count(np.full(size, 1 / size), level * span)
        assert exact == (size ** (level + 1) - 1) // (size - 1)
        limit = branching.lemma_4_arithmetic(process.mu, (level + 0.4) * span, span)
        # The exact count is the limit less 1/(m - 1).
        assert limit - exact == pytest.approx(1 / (size - 1), abs=1e-14 * exact + 1e-9)
        # The non-arithmetic form is off by a constant factor at every lattice point.
        assert branching.lemma_4(process.mu, level * span) < 0.8 * exact


def test_spans_are_the_largest_common_measure():
    assert branching.arithmetic_span([np.log(2), np.log(8), 0.0]) == pytest.approx(np.log(2))
    assert branching.arithmetic_span([1.5, 2.5]) == pytest.approx(0.5)
    assert branching.arithmetic_span([-np.log(0.8), -np.log(0.2)]) is None
    assert branching.arithmetic_span([]) is None


def test_bad_input_is_refused():
    with pytest.raises(InvalidInput):
        PointProcess(np.array([[0.5, 0.4]]), np.ones(1))
    with pytest.raises(InvalidInput, match="weight"):
        PointProcess(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]))
    with pytest.raises(InvalidInput, match="theta"):
        branching.log_laplace(MIXTURE, 0.0)
    with pytest.raises(InvalidInput, match="listed"):
        branching.sum_over_generation(MIXTURE, 30, np.abs)
    with pytest.raises(InvalidInput, match="noise"):
        branching.spine_walk(MIXTURE, np.ones((2, 2)))
    with pytest.raises(InvalidInput, match="surprisals"):
        branching.node_count([0.5, 0.5], -1.0)
    with pytest.raises(InvalidInput, match="ceiling"):
        branching.lemma_3(0.0, 0.0, 1.0)
    with pytest.raises(InvalidInput, match="span"):
        branching.lemma_4_arithmetic(0.5, 1.0, 0.0)
