from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_optimum import single_law_optimum
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption
from speclight.theory.iid import markov_renewal, renewal
from speclight.theory.laws import step_law
from speclight.theory.truth import branching

# The transform's own error: damping by e^-8 over the lattice amplifies float64 rounding by 3,000, and
# counts grow over up to 12 e-folds; observed below 1e-13, an algorithmic slip would be above 1e-6.
TRANSFORM_RTOL = 1e-9


def step_laws(
    alpha: float, seed: int, width: float, tokens: int = 20, contexts: int = 60
) -> step_law.StepLaw:
    rows = np.random.default_rng(seed).dirichlet(np.full(tokens, alpha), size=contexts)
    return step_law.from_laws(rows, width=width)


def depth_capped_by_convolution(counts: np.ndarray, budget: int, bins: int) -> np.ndarray:
    """sum over d < P of the d-fold convolution, one generation after the other."""
    generation, total = np.zeros(bins), np.zeros(bins)
    generation[0] = 1.0
    for _ in range(budget):
        total += generation
        generation = np.convolve(generation, counts)[:bins]
    return np.minimum(total.cumsum(), budget)


@given(
    alpha=st.sampled_from([0.02, 0.1, 1.0, 5.0]),
    budget=st.integers(1, 70),
    bins=st.integers(1, 400),
    seed=st.integers(0, 20),
)
def test_transform_equals_convolution(alpha, budget, bins, seed):
    law = step_laws(alpha, seed, width=1 / 32)
    fast = renewal.capped_node_count(law.counts, law.width, budget, bins)
    slow = depth_capped_by_convolution(law.counts[:bins], budget, bins)
    np.testing.assert_allclose(fast, slow, rtol=TRANSFORM_RTOL)


@pytest.mark.parametrize("alpha", [0.02, 0.3, 3.0])
def test_transform_equals_the_recursion_when_no_depth_is_cut(alpha):
    law = step_laws(alpha, 1, width=1 / 128)
    fast = renewal.capped_node_count(law.counts, law.width, 10**9, 1500)
    np.testing.assert_allclose(fast, renewal.plain_node_count(law.counts, 10**9, 1500), rtol=TRANSFORM_RTOL)


def test_depth_cap_counts():
    """Two tokens, one all but certain: without the cap nodes deeper than P are counted near t = 0."""
    law = step_law.from_laws([[0.999, 0.001]], width=1e-4)
    capped = renewal.capped_node_count(law.counts, law.width, 20, 400)
    uncapped = renewal.plain_node_count(law.counts, 20, 400)
    assert (capped <= uncapped).all()
    assert capped[250] == pytest.approx(20.0)  # the 20 generations of the chain are in by 0.02 nats
    assert renewal.renewal(law, 20).value <= 20


@pytest.mark.parametrize("width", [0.5, 0.11, 0.02, 0.004])
@pytest.mark.parametrize("law", [[0.7, 0.3], [0.5, 0.5], [0.9, 0.06, 0.04]])
def test_rounded_down_lattice_dominates(law, width):
    """E N'(t) >= min(P, N_P(t)) at every t, whatever the width; and the integral >= the exact optimum."""
    budget = 40
    count = renewal.node_count(step_law.from_laws([law], width=width), budget)
    for t in np.linspace(0.0, 3.0, 61):
        exact = depth_limited_count(law, float(t), budget)
        position = int(t / width)
        lattice = count.expected_nodes[position] if position < len(count.expected_nodes) else budget
        # An atom of N exactly at t may fall on the lattice point above t/width's float64 quotient.
        assert lattice >= min(exact, budget) - 1e-9
    assert count.integral >= single_law_optimum(law, budget) - 1e-9


def depth_limited_count(law: list[float], threshold: float, budget: int) -> int:
    generation, total = [0.0], 0
    for _ in range(budget):
        total += len(generation)
        generation = [v - np.log(p) for v in generation for p in law if v - np.log(p) <= threshold - 1e-9]
    return total if threshold >= 1e-9 else 1


def test_finer_widths_lower_the_value():
    values = [renewal.node_count(step_laws(0.1, 5, width=2.0**-power), 60).integral for power in range(2, 11)]
    assert all(finer <= coarser + 1e-9 for coarser, finer in pairwise(values))
    assert values[0] > 1.1 * values[-1]


def test_stopping_rule_needs_two_halvings():
    """On a lattice law of span 1/2 nat halvings below the span change nothing; above it they do."""
    law = step_law.from_laws([np.full(4, 0.25)], width=float(np.log(4)) / 1024)
    count = renewal.refined_node_count(law, 21)
    assert count.halvings_agree
    assert count.integral == pytest.approx(3.0, rel=2 * renewal.HALVING_RTOL)
    coarse = step_law.coarsened(law, 1024)
    assert not renewal.refined_node_count(coarse, 21).halvings_agree


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_stopping_rule_is_not_fooled_by_binary_digits(size):
    """On the default lattice, incommensurable with ln 2, uniform laws at P just below a full level: a rule
    of two halvings alone stops 2% high for two and four tokens."""
    law = step_law.from_laws([np.full(size, 1 / size)])
    for budget in (16, 60, 250):
        value = renewal.renewal(law, budget).value
        optimum = single_law_optimum([1 / size] * size, budget)
        assert optimum - 1e-9 <= value <= 1.003 * optimum


def test_crossing_reads_as_a_number_of_tokens():
    """The integral equals U(t_P-) + (P - E N(t_P-)) e^-t_P: tokens until the surprisal passes t_P."""
    law = step_laws(0.5, 2, width=1 / 64)
    budget = 50
    count = renewal.node_count(law, budget)
    crossing = int(np.argmax(count.expected_nodes >= budget))
    jumps = np.diff(count.expected_nodes[:crossing], prepend=0.0)
    positions = law.width * np.arange(crossing)
    tokens = float(jumps @ np.exp(-positions))
    last = (budget - count.expected_nodes[crossing - 1]) * np.exp(-law.width * crossing)
    assert count.integral == pytest.approx(tokens + last, rel=1e-12)


def test_certain_end_of_text_leaves_one_token():
    law = step_law.from_laws([[1.0, 0.0]], end_tokens=[0])
    assert renewal.renewal(law, 9).value == pytest.approx(1.0, abs=1e-9)


def test_end_of_text_lowers_the_bound():
    rows = np.random.default_rng(8).dirichlet(np.full(6, 0.4), size=30)
    assert (
        renewal.renewal(step_law.from_laws(rows, end_tokens=[2]), 30).value
        < renewal.renewal(step_law.from_laws(rows), 30).value - 0.1
    )


def test_sampled_surprisals_bound_what_full_rows_bound():
    """60,000 sampled tokens, fixed seed; the value's standard error is below 0.5%, so 3% is a false alarm
    below 1e-8 and a bias of 5% is found with probability above 0.99."""
    rng = np.random.default_rng(4)
    rows = rng.dirichlet(np.full(20, 0.1), size=60)
    contexts = rng.integers(0, 60, 60_000)
    edges = rows.cumsum(axis=1)
    tokens = np.minimum((rng.random(60_000)[:, None] > edges[contexts]).sum(axis=1), 19)
    sampled = step_law.from_surprisals(-np.log(rows[contexts, tokens]))
    full = step_law.from_laws(rows)
    for budget in (4, 16, 60):
        assert renewal.renewal(sampled, budget).value == pytest.approx(
            renewal.renewal(full, budget).value, rel=0.03
        )


def test_one_type_is_the_scalar_form():
    law = step_laws(0.2, 6, width=1 / 64)
    kernel = markov_renewal.MarkovKernel(law.width, law.counts[None, None])
    for budget in (1, 2, 3, 17, 60):
        bound = markov_renewal.markov_renewal(kernel, [1.0], budget)
        assert bound.value == pytest.approx(renewal.node_count(law, budget).integral, rel=TRANSFORM_RTOL)


def test_equal_types_are_one_type():
    law = step_laws(0.2, 6, width=1 / 64)
    split = np.array([[0.3, 0.7], [0.5, 0.5]])[:, :, None] * law.counts
    kernel = markov_renewal.MarkovKernel(law.width, split)
    value = markov_renewal.markov_renewal(kernel, [0.2, 0.8], 33).value
    assert value == pytest.approx(renewal.node_count(law, 33).integral, rel=TRANSFORM_RTOL)


def test_alternating_types_against_the_exact_tree():
    """Type 0 says one of two tokens, type 1 one of four, in turn: levels of 1, 2, 8, 16, 64 nodes."""
    width = float(np.log(2))
    counts = np.zeros((2, 2, 3))
    counts[0, 1, 1], counts[1, 0, 2] = 2.0, 4.0
    kernel = markov_renewal.MarkovKernel(width, counts)
    for start, budget, expected in (
        ([1.0, 0.0], 3, 2.0),
        ([1.0, 0.0], 11, 3.0),
        ([0.0, 1.0], 5, 2.0),
        ([0.0, 1.0], 13, 3.0),
        ([0.5, 0.5], 1, 1.0),
    ):
        bound = markov_renewal.markov_renewal(kernel, start, budget)
        assert bound.value == pytest.approx(expected, abs=1e-9)
        assert Assumption.SUFFICIENT_TYPES in bound.assumptions


def test_kernel_from_transitions_by_hand():
    half, quarter = np.log(2), np.log(4)
    kernel = markov_renewal.kernel_from_transitions(
        [half, quarter, half, half],
        [0, 0, 1, 1],
        [1, 0, 0, -1],
        types=2,
        ends=[False, False, False, True],
        width=float(np.log(2)),
    )
    expected = np.zeros((2, 2, 3))
    expected[0, 1, 1], expected[0, 0, 2], expected[1, 0, 1] = 1.0, 2.0, 1.0
    np.testing.assert_allclose(kernel.counts, expected, rtol=1e-12)
    coarse = markov_renewal.coarsened_kernel(kernel, 2)
    np.testing.assert_allclose(coarse.counts[0, 1], [1.0, 0.0], rtol=1e-12)


def test_certain_cycles_of_types_give_the_budget():
    counts = np.zeros((2, 2, 1))
    counts[0, 1, 0] = counts[1, 0, 0] = 1.0
    assert markov_renewal.markov_renewal(markov_renewal.MarkovKernel(0.1, counts), [1.0, 0.0], 12).value == 12


def test_bad_kernels_are_refused():
    with pytest.raises(InvalidInput, match="shape"):
        markov_renewal.MarkovKernel(0.1, np.zeros((2, 3, 4)))
    with pytest.raises(InvalidInput, match="probability"):
        markov_renewal.MarkovKernel(0.1, np.full((1, 1, 1), 2.0))
    with pytest.raises(InvalidInput, match="no context"):
        markov_renewal.kernel_from_transitions([0.1], [0], [0], types=2)
    kernel = markov_renewal.MarkovKernel(0.1, np.full((1, 1, 1), 0.5))
    with pytest.raises(InvalidInput, match="law"):
        markov_renewal.markov_renewal(kernel, [0.5], 4)


@pytest.mark.parametrize("law", [[0.7, 0.3], [0.5, 0.3, 0.2]])
def test_expected_count_is_claim_1(law):
    """On a fine lattice E N' approaches E N of Claim 1 from above, at points away from the atoms."""
    measured = step_law.from_laws([law], width=2.0**-13)
    count = renewal.capped_node_count(measured.counts, measured.width, 10**6, 3 * 2**13)
    process = branching.single_law(law)
    for t in (0.1, 0.9, 1.7, 2.95):
        assert count[int(t * 2**13)] == pytest.approx(branching.expected_node_count(process, t), rel=1e-9)
