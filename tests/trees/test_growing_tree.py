"""Growing to the end: each node's own law, one call a level, every law kept under its path."""

import numpy as np

from speclight.trees.growing_tree import CandidateLaw, DraftCost, grown
from speclight.trees.shapes import TopRankGrowth, by_choices


def law_after(path: tuple[int, ...]) -> CandidateLaw:
    """Of three tokens, which one is best known by the path."""
    probabilities = np.full(3, 0.2)
    probabilities[(sum(path) + len(path)) % 3] = 0.6
    return CandidateLaw(np.arange(3), np.log(probabilities))


def test_every_level_is_one_call_and_every_law_is_kept():
    asked = []

    def laws(known, nodes):
        asked.append([known.token_path(node) for node in nodes])
        return [law_after(path) for path in asked[-1]]

    # The best token after (): 0; after (0,): 1; after (1,): 2; after (0, 1): 0.
    draft = grown(TopRankGrowth(9, by_choices([(0,), (1,), (0, 0), (1, 0), (0, 0, 0)])), laws)
    assert asked == [[()], [(0,), (1,)], [(0, 1)]]
    assert draft.tree.tokens.tolist() == [9, 0, 1, 1, 2, 0]
    assert draft.tree.parents.tolist() == [-1, 0, 0, 1, 2, 3]
    assert draft.cost == DraftCost(calls=3, expanded_nodes=4)
    assert list(draft.laws) == [(), (0,), (1,), (0, 1)]
    for path, law in draft.laws.items():
        assert np.array_equal(law.log_probs, law_after(path).log_probs)


def test_a_tree_without_places_costs_nothing():
    draft = grown(TopRankGrowth(9, by_choices([])), lambda known, nodes: [])
    assert len(draft.tree) == 1
    assert draft.cost == DraftCost(calls=0, expanded_nodes=0)
    assert draft.laws == {}
