"""The ceiling of every lossless rule: against all subsets, a linear programme, and all the rules."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import linprog

from cases import thinned
from law_pairs import CORNER_PAIRS, corner_pair, law_pairs, random_pairs
from speclight.errors import InvalidInput
from speclight.theory.coins.acceptance import k_seq, rejection_with_replacement
from speclight.theory.coins.optimal_transport import (
    containment_with_replacement,
    containment_without_replacement,
    drafts_stay_inside,
    transport_by_subsets,
    transport_with_replacement,
    transport_without_replacement,
)
from speclight.theory.coins.rejection_without_replacement import acceptance_without_replacement
from speclight.theory.information import overlap, total_variation
from speclight.theory.races.distinct_ranks import TIME_ERROR, distinct_rank_law
from speclight.theory.races.matching import arrival_index_law, list_sampling_lower_bound, match_probability

# Sums of at most 2^10 products of float64 probabilities.
ROUNDING_ATOL = 1e-12
# Default tolerance 1e-9 of the prefix search plus the time integral behind each set.
PREFIX_ATOL = 2e-9
# HiGHS solves to its feasibility tolerance.
PROGRAMME_ATOL = 1e-6


def draft_law(drafter, candidates, replacement):
    """Probability of every tuple of drafts."""
    tokens = np.flatnonzero(drafter)
    law = {}
    if replacement:
        for drafts in product(tokens, repeat=candidates):
            law[drafts] = float(np.prod(drafter[list(drafts)]))
        return law
    for drafts in permutations(tokens, min(candidates, len(tokens))):
        weight, left = 1.0, 1.0
        for token in drafts:
            weight *= drafter[token] / left
            left -= drafter[token]
        law[drafts] = weight
    return law


def transport_by_linear_programme(target, drafter, candidates, replacement):
    """max P(emitted token among the drafts) over all couplings of the target with the drafts."""
    law = draft_law(drafter, candidates, replacement)
    size, tuples = len(target), list(law)
    gain = np.array([[-1.0 if token in drafts else 0.0 for token in range(size)] for drafts in tuples])
    rows = np.kron(np.eye(len(tuples)), np.ones(size))
    columns = np.kron(np.ones(len(tuples)), np.eye(size))
    solution = linprog(
        gain.ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.concatenate([[law[drafts] for drafts in tuples], target]),
    )
    assert solution.success
    return -solution.fun


@pytest.mark.parametrize("replacement", [True, False])
def test_subset_formula_equals_the_linear_programme(replacement):
    containment = containment_with_replacement if replacement else containment_without_replacement
    for target, drafter in random_pairs(8, seed=71, largest_vocabulary=4):
        found = transport_by_subsets(target, containment(drafter, 2))
        solved = transport_by_linear_programme(target, drafter, 2, replacement)
        assert found == pytest.approx(solved, abs=PROGRAMME_ATOL)


@given(law_pairs(largest_vocabulary=8), st.integers(1, 6))
def test_sets_of_smallest_ratio_are_enough(pair, candidates):
    """All 2^V sets against the V + 1 prefixes, both draft laws: the claim the fast forms rest on."""
    target, drafter = pair
    with_replacement = transport_by_subsets(target, containment_with_replacement(drafter, candidates))
    assert transport_with_replacement(*pair, candidates) == pytest.approx(with_replacement, abs=ROUNDING_ATOL)
    without = transport_by_subsets(target, containment_without_replacement(drafter, candidates))
    assert transport_without_replacement(*pair, candidates) == pytest.approx(without, abs=PREFIX_ATOL)


# Two pairs of tokens with one ratio each, which rounding tells apart.
ROUNDED_APART = (np.array([0.0, 0.05, 0.05, 0.15, 0.75]), np.array([0.0, 1 / 27, 1 / 9, 8 / 27, 15 / 27]))


@given(law_pairs(largest_vocabulary=6), st.integers(1, 4))
@example(ROUNDED_APART, 1)
def test_every_rule_stays_below_its_ceiling(pair, candidates):
    target, drafter = pair
    ceiling = transport_with_replacement(*pair, candidates) + ROUNDING_ATOL
    assert rejection_with_replacement(*pair, candidates).acceptance <= ceiling
    assert k_seq(*pair, candidates).acceptance <= ceiling
    assert arrival_index_law(*pair, candidates).within(candidates) <= ceiling
    # The drafts of list sampling come from independent noise: their ceiling is that of independent drafts.
    assert list_sampling_lower_bound(*pair, candidates) <= ceiling
    ceiling = transport_without_replacement(*pair, candidates) + PREFIX_ATOL
    assert acceptance_without_replacement(*pair, candidates).sum() <= ceiling
    assert distinct_rank_law(*pair, candidates).within(candidates) <= ceiling + candidates * TIME_ERROR
    distance = float(total_variation(target, drafter))
    match = match_probability(*pair)
    assert (1 - distance) / (1 + distance) - ROUNDING_ATOL <= match <= 1 - distance + ROUNDING_ATOL


@pytest.mark.parametrize("name", CORNER_PAIRS)
@pytest.mark.parametrize("candidates", [1, 2, 5])
def test_transport_equals_the_search_of_subsets_on_corner_pairs(name, candidates):
    target, drafter = corner_pair(name)
    met = float(target[drafter > 0].sum())
    for value, containment in (
        (transport_with_replacement(target, drafter, candidates), containment_with_replacement),
        (transport_without_replacement(target, drafter, candidates), containment_without_replacement),
    ):
        assert value == pytest.approx(
            transport_by_subsets(target, containment(drafter, candidates)), abs=PREFIX_ATOL
        )
        assert value <= met + PREFIX_ATOL
    if candidates >= (drafter > 0).sum():
        assert transport_without_replacement(target, drafter, candidates) == pytest.approx(
            met, abs=ROUNDING_ATOL
        )


@given(law_pairs())
def test_one_draft_is_the_overlap(pair):
    once = float(overlap(*pair))
    assert transport_with_replacement(*pair, 1) == pytest.approx(once, abs=ROUNDING_ATOL)
    assert transport_without_replacement(*pair, 1) == pytest.approx(once, abs=PREFIX_ATOL)


@given(law_pairs(zeros_in_drafter=False), st.integers(2, 6))
def test_more_and_distinct_drafts_never_hurt(pair, candidates):
    fewer, more = (transport_with_replacement(*pair, count) for count in (candidates - 1, candidates))
    assert fewer <= more + ROUNDING_ATOL
    assert more <= transport_without_replacement(*pair, candidates) + PREFIX_ATOL


def test_drafts_stay_inside_equals_the_sum_over_ordered_draws():
    rng = np.random.default_rng(72)
    for _ in range(20):
        drafter = rng.dirichlet(np.full(7, 0.5))
        size, candidates = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        law = draft_law(drafter, candidates, replacement=False)
        plain = sum(weight for drafts, weight in law.items() if max(drafts) < size)
        found = drafts_stay_inside(drafter[:size], drafter[size:], candidates)
        assert found == pytest.approx(plain, abs=1e-9)  # stated error 1e-10 and 840 rounded divisions


def test_drafts_stay_inside_with_nearly_all_mass_on_one_token():
    """q = (1 - 2e-15, 1e-15, 1e-15): the second draw is one of two negligible tokens, either w.p. 1/2."""
    found = drafts_stay_inside(np.array([1 - 2e-15, 1e-15]), np.array([1e-15]), 2)
    assert found == pytest.approx(0.5, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [2, 8])
@pytest.mark.parametrize("disagreement", thinned([0.5, 0.05, 3.0]))
def test_large_vocabulary_against_all_prefixes(candidates, disagreement):
    """300 tokens, a drafter whose logits are off by noise: the cutting search against every prefix."""
    rng = np.random.default_rng(73)
    logits = rng.normal(size=300)
    target, drafter = np.exp(logits), np.exp(logits + disagreement * rng.normal(size=300))
    target, drafter = target / target.sum(), drafter / drafter.sum()
    order = np.argsort(target / drafter)
    every = min(
        float(target[order[:size]].sum())
        - drafts_stay_inside(drafter[order[:size]], drafter[order[size:]], candidates)
        for size in range(301)
    )
    found = transport_without_replacement(target, drafter, candidates)
    assert found == pytest.approx(1 + every, abs=PREFIX_ATOL)


def test_bad_arguments_are_refused():
    pair = corner_pair("equal")
    with pytest.raises(InvalidInput, match="candidates"):
        transport_with_replacement(*pair, 0)
    with pytest.raises(InvalidInput, match="tolerance"):
        transport_without_replacement(*pair, 2, tolerance=-1.0)
    with pytest.raises(InvalidInput, match="containment"):
        transport_by_subsets(pair[0], np.ones(4))
    with pytest.raises(InvalidInput, match="at most 20 tokens"):
        containment_with_replacement(np.full(21, 1 / 21), 2)
