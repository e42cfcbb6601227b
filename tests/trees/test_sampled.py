"""Trees of samples: how repeats merge, what is recorded, and that the draws have the law recorded."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.growing_tree import grown as grow_to_end
from speclight.trees.sampled import SampledGrowth, law_of_undrawn
from speclight.trees.shapes import batch, by_choices, by_level, chain
from speclight.verification.enumeration import enumerate_outcomes

LAW = np.array([0.5, 0.3, 0.2])


class ScriptedDraws:
    """Draws that were written down before; remembers the laws it was asked with."""

    def __init__(self, tokens):
        self.tokens, self.laws = list(tokens), []

    def sample(self, law):
        self.laws.append(law)
        return self.tokens.pop(0)


def candidates(law):
    tokens = np.flatnonzero(law)
    return CandidateLaw(tokens, np.log(np.asarray(law)[tokens]))


def grown(shape, draws, *, replacement, law=LAW, never_drafted=()):
    growth = SampledGrowth(9, shape, 3, draws, replacement=replacement, never_drafted=never_drafted)
    return grow_to_end(growth, lambda known, nodes: [candidates(law) for _ in nodes]).tree


def test_a_chain_of_samples():
    tree = grown(chain(2), ScriptedDraws([2, 0]), replacement=True)
    assert tree.tokens.tolist() == [9, 2, 0]
    assert tree.kind == "with_replacement"
    np.testing.assert_allclose(tree.log_probs, np.log([1.0, 0.2, 0.5]), rtol=0, atol=1e-15)
    assert [None if sample is None else sample.draws.tolist() for sample in tree.samples] == [[1], [2], None]
    np.testing.assert_allclose(tree.samples[0].law, LAW, rtol=0, atol=1e-15)  # one exp, one log, one division


def test_a_repeated_draw_is_one_node_with_the_children_of_both_places():
    tree = grown(by_level([3, 1]), ScriptedDraws([1, 0, 1, 2, 0, 2]), replacement=True)
    assert tree.tokens.tolist() == [9, 1, 0, 2, 0, 2]
    assert tree.parents.tolist() == [-1, 0, 0, 1, 1, 2]
    assert tree.samples[0].draws.tolist() == [1, 2, 1]
    assert tree.samples[1].draws.tolist() == [3, 4]
    assert tree.samples[2].draws.tolist() == [5]


def test_without_replacement_each_draw_is_from_what_is_left():
    draws = ScriptedDraws([1, 2, 0])
    tree = grown(batch(3), draws, replacement=False)
    assert tree.tokens.tolist() == [9, 1, 2, 0]
    np.testing.assert_allclose(draws.laws, [LAW, [5 / 7, 0, 2 / 7], [1, 0, 0]], rtol=0, atol=1e-15)
    assert tree.kind == "without_replacement"


def test_places_stay_empty_where_nothing_is_left_to_draw():
    tree = grown(
        by_choices([(0,), (1,), (2,), (2, 0)]), ScriptedDraws([1, 0]), replacement=False, law=[0.4, 0.6, 0]
    )
    assert tree.tokens.tolist() == [9, 1, 0]
    assert tree.samples[0].draws.tolist() == [1, 2]


def test_the_children_of_a_place_follow_its_own_draw():
    tree = grown(by_choices([(0,), (1,), (1, 0)]), ScriptedDraws([2, 0, 1]), replacement=False)
    assert tree.parents.tolist() == [-1, 0, 0, 2]


def test_end_of_text_is_taken_out_of_the_law_that_is_sampled_and_recorded():
    draws = ScriptedDraws([1])
    tree = grown(chain(1), draws, replacement=True, never_drafted={0})
    np.testing.assert_allclose(draws.laws[0], [0, 0.6, 0.4], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(tree.samples[0].law, draws.laws[0])


@pytest.mark.parametrize("never_drafted", [(), (1,)])
def test_nothing_is_drawn_from_an_empty_law(never_drafted):
    law = [0, 1.0, 0] if never_drafted else [0, 0, 0]
    tree = grown(chain(2), ScriptedDraws([]), replacement=True, law=law, never_drafted=never_drafted)
    assert (len(tree), tree.kind, tree.samples) == (1, "with_replacement", (None,))


def test_a_shape_of_the_root_alone_needs_no_law():
    assert SampledGrowth(9, chain(0), 3, ScriptedDraws([]), replacement=True).unexpanded() == []


@pytest.mark.parametrize("token", [-1, 3])
def test_tokens_outside_the_vocabulary_are_refused(token):
    growth = SampledGrowth(9, chain(1), 3, ScriptedDraws([]), replacement=True)
    with pytest.raises(InvalidInput, match="expected ids of the target"):
        growth.expand(0, CandidateLaw(np.array([token]), np.zeros(1)))


@pytest.mark.parametrize("replacement", [True, False])
def test_the_draws_have_their_law(replacement):
    """Enumerated: the law of the two ordered draws of a batch, error below rounding of a few products."""

    class Draws:
        def __init__(self, noise):
            self.noise = noise

        def sample(self, law):
            return self.noise.sample(0, law)

    law = np.zeros((3, 3))
    for outcome in enumerate_outcomes(lambda noise: grown(batch(2), Draws(noise), replacement=replacement)):
        tree = outcome.result
        law[tuple(tree.tokens[tree.samples[0].draws])] += outcome.probability
    second = (
        np.tile(LAW, (3, 1))
        if replacement
        else np.stack([law_of_undrawn(LAW, [token]) for token in range(3)])
    )
    np.testing.assert_allclose(law, LAW[:, None] * second, rtol=0, atol=1e-15)
