"""Masks against the sentence that each stands for, slot by slot."""

import numpy as np
import torch

from speclight.models.visibility import below, causal, of_trees
from speclight.trees.draft_tree import DraftTree

# root 0, children 1 and 2, grandchildren 3 (of 1) and 4 (of 2)
FORK = DraftTree(np.array([7, 1, 2, 1, 1]), np.array([-1, 0, 0, 1, 2]), np.zeros(5))
CHAIN = DraftTree(np.array([5, 1]), np.array([-1, 0]), np.zeros(2))


def test_a_text_read_on_sees_everything_before_it():
    assert causal(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal(2, filled=2).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_tokens_below_a_text_see_its_start_and_their_own_path():
    got = below([3, 1, 0], 6, [[3], [3, 4], []])
    assert got.int().tolist() == [[1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]


def test_tokens_of_the_text_are_the_case_without_paths():
    assert torch.equal(below(torch.arange(5, 9), 8), causal(4, filled=4))


def test_nodes_of_a_tree_hang_below_their_text():
    paths = [[4 + int(step) for step in FORK.path(node)] for node in range(len(FORK))]
    assert torch.equal(of_trees([FORK], [4]), below([4] * len(FORK), 4 + len(FORK), paths))


def test_trees_of_several_texts_see_their_own_text_alone():
    both = of_trees([FORK, CHAIN], [2, 3])
    assert both.shape == (7, 12)
    assert torch.equal(both[:5, :7], of_trees([FORK], [2]))
    assert torch.equal(both[5:, 7:], of_trees([CHAIN], [3]))
    assert not both[:5, 7:].any()
    assert not both[5:, :7].any()
