"""A source led along a text is told what decoding would tell it, and knows the same laws."""

import numpy as np
import pytest
import torch

from speclight.drafting.along_text import AlongText, at_end, features_along, stops_with_target
from speclight.drafting.drafter_choices import Model
from speclight.drafting.drafters import law_source
from speclight.errors import InvalidInput
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw
from toys import law_after, tiny_target

TEXT = [0, 1, 2, 0, 1, 3, 5, 1]
# Float64 models; passes of different lengths differ by the order of float64 sums.
LAW_ATOL = 1e-10


class Listening:
    """Remembers what it is told; its law is uniform."""

    name, hidden_layers = "listening", (1, 2)

    def __init__(self):
        self.begun, self.tokens, self.features = 0, [], []

    def begin(self, token_ids, features):
        self.begun += 1
        self.tokens, self.features = [], []
        self.extend(token_ids, features)

    def extend(self, token_ids, features):
        self.tokens += token_ids
        self.features.append(features)
        assert sum(map(len, self.features)) == len(self.tokens) - 1

    def laws(self, known, nodes):
        return [CandidateLaw(np.arange(2), np.log([0.5, 0.5])) for _ in nodes]


@pytest.fixture(scope="module")
def target():
    return tiny_target(6, seed=2)


def test_every_token_and_feature_is_handed_over_once(target):
    source = Listening()
    along, features = AlongText(source, TEXT), features_along(target, source, TEXT)
    assert features.shape == (len(TEXT) - 1, 32)
    for committed in (1, 3, 4, 8):
        along.stop(committed, features)
        assert along.root == source.tokens[-1] == TEXT[committed - 1]
        assert source.tokens == TEXT[:committed]
        assert torch.equal(torch.cat(source.features), features[: committed - 1])
    assert source.begun == 1


def test_the_target_and_the_source_stop_at_the_same_place(target):
    source = Listening()
    along = AlongText(source, TEXT)
    states = features_along(target, source, TEXT)
    for committed, scored in zip((2, 5, 6), stops_with_target(target, along, (2, 5, 6)), strict=True):
        assert scored.token_ids == source.tokens == TEXT[:committed]
        handed = torch.cat(source.features)
        np.testing.assert_allclose(handed, states[: committed - 1], rtol=0, atol=LAW_ATOL)


def test_laws_are_those_after_the_text(target):
    """At stops, for all that lies ahead in one call, and of a fresh start at each place."""
    drafter = tiny_target(6, seed=9)

    def source():
        return law_source(Model(drafter), target)

    ahead, stopping = AlongText(source(), TEXT), AlongText(source(), TEXT)
    ahead.stop(2, None)
    laws = ahead.laws_ahead()
    assert len(laws) == len(TEXT) - 2
    for committed, law in enumerate(laws, start=2):
        expected = law_after(drafter, TEXT[:committed])
        stopping.stop(committed, None)
        for got in (law, stopping.law(), at_end(target, source(), TEXT[:committed]).law()):
            np.testing.assert_allclose(np.exp(got.log_probs), expected, rtol=0, atol=LAW_ATOL)


def test_drafts_are_grown_from_the_laws_there(target):
    along = at_end(target, Listening(), TEXT)
    draft = along.drafted(BestFirstGrowth(along.root, 3))
    assert draft.tree.tokens.tolist() == [TEXT[-1], 0, 1]
    assert draft.cost.calls == 2
    assert along.drafted(BestFirstGrowth(along.root, 1)).cost.calls == 0


@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_place_that_is_not_ahead_is_refused(target, place):
    along = AlongText(Listening(), TEXT)
    along.stop(3, features_along(target, along.source, TEXT))
    with pytest.raises(InvalidInput, match="ascending"):
        along.stop(place, None)
