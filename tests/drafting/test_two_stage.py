"""Two stages give the model's own trees in fewer calls."""

import numpy as np
import pytest

from cases import thinned
from speclight.drafting.model_law import ModelLaw
from speclight.drafting.ngram import NgramLaw
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.drafting.two_stage import FORESEEN_PATHS, TwoStageLaw
from speclight.drafting.vocabulary import same_vocabulary
from speclight.models.sampling import SamplingSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.shapes import TopRankGrowth, chain
from toys import tiny_target

LAW_ATOL = 1e-12  # float64; the same nodes computed in batches of another size
GROWTHS = {
    "best_first": lambda root, budget, noise: BestFirstGrowth(root, budget),
    "chain": lambda root, budget, noise: TopRankGrowth(root, chain(budget - 1)),
}


def law_of(model):
    return ModelLaw("model", model, same_vocabulary(model, model), SamplingSettings())


class Clairvoyant(NgramLaw):
    """A helper that knows the model's most probable continuation."""

    def __init__(self, law):
        super().__init__()
        self.law = law

    def begin(self, token_ids, features):
        self.law.begin(token_ids, features)

    def extend(self, token_ids, features):
        self.law.extend(token_ids, features)

    def laws(self, known, nodes):
        laws = self.law.laws(known, nodes)
        return [
            type(law)(law.tokens[[best]], np.zeros(1)) for law in laws for best in [law.log_probs.argmax()]
        ]


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("seed", thinned(range(3)))
def test_trees_are_those_of_the_model_alone(growth, seed):
    model, rng = tiny_target(5, seed), np.random.default_rng(seed)
    alone = TreeDrafter(law_of(model), GROWTHS[growth])
    staged = TreeDrafter(TwoStageLaw(law_of(model), NgramLaw()), GROWTHS[growth])
    text = rng.integers(0, 5, size=12).tolist()
    calls = [0, 0]
    for drafter in (alone, staged):
        drafter.begin(text, None)
    for _ in range(6):
        expected, got = (drafter.propose(8, None) for drafter in (alone, staged))
        np.testing.assert_array_equal(got.tree.tokens, expected.tree.tokens)
        np.testing.assert_array_equal(got.tree.parents, expected.tree.parents)
        np.testing.assert_allclose(got.tree.log_probs, expected.tree.log_probs, rtol=0, atol=LAW_ATOL)
        assert got.cost.calls <= expected.cost.calls
        calls = [calls[0] + expected.cost.calls, calls[1] + got.cost.calls]
        accepted = expected.tree.path(int(rng.integers(len(expected.tree))))[1:]
        emitted = [*expected.tree.tokens[accepted].tolist(), int(rng.integers(5))]
        for drafter in (alone, staged):
            drafter.extend(emitted, None)
    assert calls[1] < calls[0]


def test_a_chain_the_helper_foresees_takes_one_call():
    model = tiny_target(5, 3)
    staged = TreeDrafter(TwoStageLaw(law_of(model), Clairvoyant(law_of(model))), GROWTHS["chain"])
    staged.begin([0, 1, 2], None)
    budget = FORESEEN_PATHS + 2  # the root and all nodes but the last, which is not looked at, ride along
    cost = staged.propose(budget, None).cost
    assert (cost.calls, cost.expanded_nodes) == (1, FORESEEN_PATHS + 1)


def test_a_helper_with_nothing_to_say_changes_nothing():
    model = tiny_target(40, 3)
    staged = TreeDrafter(TwoStageLaw(law_of(model), NgramLaw()), GROWTHS["chain"])
    staged.begin([3], None)
    cost = staged.propose(2, None).cost
    assert (cost.calls, cost.expanded_nodes) == (1, 1)
