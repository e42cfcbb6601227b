"""Race drafts: which candidates stand where, trees by rank and by the drafter's confidence."""

import numpy as np
import pytest

from speclight.decoding.noise_streams import GeneratorNoise, SeededNoise
from speclight.drafting.race import RaceGrowth, race_of
from speclight.drafting.race_confidence import (
    AcceptanceByConfidence,
    ConfidenceRaceGrowth,
    acceptance_by_confidence,
)
from speclight.drafting.race_shapes import parallel_chains, rank_tree_shape
from speclight.errors import InvalidInput
from speclight.theory.races.distinct_ranks import distinct_rank_law
from speclight.theory.races.rank_tree import optimal_rank_tree
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.growing_tree import grown as grow_to_end
from speclight.trees.race_noise import RaceField, race_order
from speclight.trees.shapes import batch, by_choices, by_level

VOCABULARY = 9
RACE = RaceField(3).from_position(11)


def law(seed, tokens=VOCABULARY):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(tokens))
    return CandidateLaw(np.arange(tokens), np.log(probabilities))


def grown(growth, tokens=VOCABULARY):
    def laws(known, nodes):
        return [law(100 * known.depths[node] + known.tokens[node], tokens) for node in nodes]

    return grow_to_end(growth, laws).tree


def test_places_hold_the_candidates_of_their_ranks():
    tree = grown(RaceGrowth(0, by_choices([(2,), (0,), (0, 1)]), RACE, VOCABULARY))
    first = law(0)
    order = race_order(first.tokens, first.log_probs, RACE.times(0, VOCABULARY), VOCABULARY)
    assert tree.tokens[[1, 2]].tolist() == [order[0], order[2]]
    second = law(100 + tree.tokens[1])
    below = race_order(second.tokens, second.log_probs, RACE.times(1, VOCABULARY), 2)
    assert (tree.tokens[3], tree.parents[3]) == (below[1], 1)
    assert tree.kind == "race"
    np.testing.assert_allclose(tree.log_probs[1], first.log_probs[order[0]])


def test_tokens_never_drafted_are_passed_over_and_ranks_without_token_stay_empty():
    tree = grown(RaceGrowth(0, batch(5), RACE, 3, never_drafted=(1,)), tokens=3)
    assert sorted(tree.tokens[1:].tolist()) == [0, 2]


def test_arrivals_are_those_of_independent_poisson_processes():
    candidates, count = law(0), 7
    tree = grown(RaceGrowth(0, batch(count), RACE, VOCABULARY, kind="race_with_replacement"))
    rates, arrivals = np.exp(candidates.log_probs), []
    for token in range(VOCABULARY):
        times = np.cumsum([RACE.gap(0, token, arrival) for arrival in range(count)]) / rates[token]
        arrivals += [(time, token) for time in times]
    expected = [token for _, token in sorted(arrivals)[:count]]
    assert tree.tokens[tree.samples[0].draws].tolist() == expected
    assert len(set(expected)) < count  # a repeat is one node
    assert len(tree) == len(set(expected)) + 1


def test_each_chain_of_lists_follows_its_own_noise_set():
    tree = grown(RaceGrowth(0, parallel_chains(3, 7), RACE, VOCABULARY, kind="gls"))
    drawn = tree.tokens[tree.samples[0].draws].tolist()
    assert drawn == [RACE.winner(0, np.exp(law(0).log_probs), (noise_set,)) for noise_set in range(3)]
    for noise_set, child in enumerate(tree.samples[0].draws):
        below = RACE.winner(1, np.exp(law(100 + tree.tokens[child]).log_probs), (noise_set,))
        assert below in tree.tokens[tree.children(child)]


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [("gls", by_level([2, 2]), "chains of one length"), ("deterministic", batch(2), "expected race")],
)
def test_drafts_that_are_no_races_are_refused(kind, shape, message):
    with pytest.raises(InvalidInput, match=message):
        RaceGrowth(0, shape, RACE, VOCABULARY, kind=kind)


def test_noise_without_a_race_is_refused():
    with pytest.raises(InvalidInput, match="holds no race"):
        race_of(GeneratorNoise(np.random.default_rng(0)))
    noise = SeededNoise(4)
    noise.at(7)
    np.testing.assert_array_equal(race_of(noise.for_draft()).times(1, 5), RaceField(4).times(8, 5))


def test_the_shape_of_a_rank_tree_is_the_optimal_one():
    rates = (0.5, 0.1, 0.25)
    shape, best = rank_tree_shape(rates, 9), optimal_rank_tree(np.array(rates), 8)
    path = np.ones(len(shape))
    for node in range(1, len(shape)):
        path[node] = path[shape.parents[node]] * rates[shape.ranks[node]]
    assert abs(path.sum() - best.expected_tokens) < 1e-12  # the same products in another order
    assert len(rank_tree_shape(rates, 1)) == 1
    assert len(parallel_chains(4, 4)) == 1


def test_one_confidence_bucket_grows_the_static_rank_tree():
    rates = np.array([[0.5, 0.11, 0.27]])  # no ties among products
    one = AcceptanceByConfidence(np.array([]), rates)
    by_bucket = grown(ConfidenceRaceGrowth(0, 9, RACE, VOCABULARY, one))
    static = grown(RaceGrowth(0, rank_tree_shape(tuple(rates[0]), 9), RACE, VOCABULARY))
    paths = [
        {tuple(tree.tokens[tree.path(node)].tolist()) for node in range(len(tree))}
        for tree in (by_bucket, static)
    ]
    assert paths[0] == paths[1]
    assert by_bucket.kind == "race"


def test_a_confident_context_is_drafted_deeper():
    table = AcceptanceByConfidence(np.array([0.5]), np.array([[0.3, 0.25, 0.2], [0.9, 0.05, 0.0]]))
    sure = CandidateLaw(np.arange(3), np.log([0.9, 0.05, 0.05]))
    unsure = CandidateLaw(np.arange(3), np.log([0.4, 0.35, 0.25]))
    depths = []
    for candidates in (sure, unsure):
        growth = ConfidenceRaceGrowth(0, 4, RACE, 3, table)
        while nodes := growth.unexpanded():
            for node in nodes:
                growth.expand(node, candidates)
        depths.append(growth.tree().depths.max())
    assert depths == [3, 1]


def test_rates_by_confidence_are_means_of_the_buckets_laws():
    pairs = [(np.array([0.6, 0.3, 0.1]), np.random.default_rng(n).dirichlet(np.ones(3))) for n in range(6)]
    laws = [distinct_rank_law(target, drafter, 3) for target, drafter in pairs]
    confidence = np.array([drafter.max() for _, drafter in pairs])
    table = acceptance_by_confidence(confidence, laws, buckets=2)
    assert table.rates.shape == (2, 3)
    high = confidence >= table.edges[0]
    expected = np.mean(
        [law.probabilities for law, is_high in zip(laws, high, strict=True) if is_high], axis=0
    )
    np.testing.assert_allclose(table.rates[1], expected)
    with pytest.raises(InvalidInput, match="at least one"):
        acceptance_by_confidence(np.array([]), [], 2)
    with pytest.raises(InvalidInput, match="sum to at most 1"):
        AcceptanceByConfidence(np.array([]), np.array([[0.9, 0.9]]))
