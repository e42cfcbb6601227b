"""The shared noise of races, and the rules on it at one call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from law_pairs import law_pairs
from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftTree, SampledChildren, root_only
from speclight.trees.race_noise import (
    RaceField,
    exponential_times,
    race_order,
    race_winner,
)
from speclight.verification.noise import UniformNoise
from speclight.verification.rules import RULES

# Two-sided chance of a normal deviate beyond 5 standard errors: 5.7e-7.
STANDARD_ERRORS = 5.0


@given(st.integers(0, 2**40), st.integers(0, 2**20), st.integers(1, 70), st.integers(0, 3))
def test_times_are_pure_and_do_not_depend_on_the_padding_of_the_vocabulary(seed, position, tokens, noise_set):
    padded = RaceField(seed).times(position, tokens + 37, noise_set)
    times = RaceField(seed).times(position, tokens, noise_set)
    np.testing.assert_array_equal(times, padded[:tokens])
    view = RaceField(seed).from_position(max(0, position - 2))
    np.testing.assert_array_equal(times, view.times(min(2, position), tokens, noise_set))


def test_every_index_changes_the_times():
    plain = RaceField(5, request=1).times(9, 6)
    others = [
        RaceField(6, request=1).times(9, 6),
        RaceField(5, request=2).times(9, 6),
        RaceField(5, request=1).times(10, 6),
        RaceField(5, request=1).times(9, 6, noise_set=1),
        np.array([RaceField(5, request=1).gap(9, token, arrival=1) for token in range(6)]),
    ]
    assert len({tuple(times) for times in (plain, *others)}) == len(others) + 1
    np.testing.assert_array_equal(plain, [RaceField(5, request=1).gap(9, token, 0) for token in range(6)])


def test_times_are_never_zero_nor_infinite():
    words = np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)
    times = exponential_times(words)
    assert (times > 0.0).all()
    assert np.isfinite(times).all()
    # u = (word + 1/2) / 2^64, and -ln(1 - u) = u to all digits where u is small.
    np.testing.assert_allclose(times[:2], [2.0**-65, 3.0 * 2.0**-65], rtol=1e-15)


def test_times_are_exponential():
    """Mean, second moment and P(E < 1/1000) of 4e5 times; false alarm 2e-6 in all, a mean off by 1% is seen
    at 6 standard errors."""
    times = np.concatenate([RaceField(3).times(position, 4_000) for position in range(100)])
    small = times < 1e-3
    for seen, exact in ((times, 1.0), (times**2, 2.0), (small, -np.expm1(-1e-3))):
        assert abs(seen.mean() - exact) < STANDARD_ERRORS * seen.std() / np.sqrt(len(times))


@given(law_pairs(), st.integers(0, 1000))
def test_the_winner_is_the_first_of_the_order(pair, position):
    law = pair[0]
    times = RaceField(1).times(position, len(law))
    tokens = np.flatnonzero(law > 0.0)
    order = race_order(tokens, np.log(law[tokens]), times, len(tokens))
    assert len(order) == len(tokens)
    keys = times[tokens[order]] / law[tokens[order]]
    assert (
        race_winner(law, times)
        == tokens[order[0]]
        == np.where(law > 0, times / np.where(law > 0, law, 1), np.inf).argmin()
    )
    assert (np.diff(keys) >= 0.0).all()
    for count in range(1, len(tokens)):
        np.testing.assert_array_equal(race_order(tokens, np.log(law[tokens]), times, count), order[:count])


def test_ties_go_to_the_lowest_id():
    law, times = np.array([0.0, 0.5, 0.5]), np.array([0.1, 1.0, 1.0])
    assert race_winner(law, times) == 1
    np.testing.assert_array_equal(race_order(np.array([2, 1]), np.log([0.5, 0.5]), times, 1), [1])


@pytest.mark.slow
def test_winners_of_the_smallest_of_several_sets_follow_the_law():
    """Pearson's X^2 on 1e4 winners of 5 tokens, 4 degrees of freedom: above 33.4 with probability 1e-6;
    a law off by TV 0.04 is noticed with probability > 0.999."""
    law = np.array([0.5, 0.25, 0.15, 0.1, 0.0])
    for noise_sets in ((0,), (0, 3, 5)):
        winners = [
            RaceField(2).from_position(position).winner(0, law, noise_sets) for position in range(10_000)
        ]
        seen = np.bincount(winners, minlength=5)
        assert seen[4] == 0
        expected = 10_000 * law[:4]
        assert ((seen[:4] - expected) ** 2 / expected).sum() < 33.4


def noise_at(position, seed=4):
    return UniformNoise(np.zeros(0), np.zeros(1), RaceField(seed).from_position(position))


@pytest.mark.parametrize("name", ["race", "race_with_replacement", "gls"])
def test_without_a_draft_the_winner_is_emitted(name):
    law = np.array([0.2, 0.5, 0.3])
    for position in range(50):
        verdict = RULES[name].verify(root_only(0), lambda node: law, noise_at(position))
        assert verdict.path.tolist() == [0]
        assert verdict.next_token == race_winner(law, RaceField(4).times(position, 3))


def test_noise_without_a_race_is_refused():
    with pytest.raises(InvalidInput, match="holds no race"):
        RULES["race"].verify(root_only(0), lambda node: np.ones(1), UniformNoise(np.zeros(0), np.zeros(1)))


def test_a_list_draft_that_lost_a_set_is_refused():
    law = np.full(3, 1.0 / 3.0)
    root = SampledChildren(law, np.array([1, 2, 3]))
    below = SampledChildren(law, np.array([4, 4]))
    tree = DraftTree(
        np.array([0, 0, 1, 2, 1]),
        np.array([-1, 0, 0, 0, 1]),
        np.zeros(5),
        "gls",
        (root, below, None, None, None),
    )
    towards_node_1 = np.array([1.0, 0.0, 0.0])
    with pytest.raises(InvalidInput, match="winners of 2 noise sets, expected 1"):
        RULES["gls"].verify(tree, lambda node: towards_node_1, noise_at(0))
