"""A draft tree is checked once, at the door."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.trees.attention import ancestor_mask, position_ids
from speclight.trees.draft_tree import DraftTree, root_only


def tree(tokens, parents, log_probs=None):
    return DraftTree(
        np.array(tokens), np.array(parents), np.zeros(len(tokens)) if log_probs is None else log_probs
    )


FORK = tree([7, 1, 2, 1, 3], [-1, 0, 0, 1, 3], np.array([0.0, -1.0, -2.0, -0.5, -0.25]))


def test_what_is_derived_from_a_tree():
    assert FORK.depths.tolist() == [0, 1, 1, 2, 3]
    assert FORK.path_log_probs.tolist() == [0.0, -1.0, -2.0, -1.5, -1.75]
    assert FORK.children(0).tolist() == [1, 2]
    assert FORK.path(4).tolist() == [0, 1, 3, 4]
    assert position_ids(FORK, 10).tolist() == [10, 11, 11, 12, 13]
    assert ancestor_mask(FORK).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ([1, 1, 3], [1, 3, 4]),
        ([1, 1, 3, 3], [1, 3, 4]),  # longer than the tree is deep
        ([1, 1], [1, 3]),  # shorter
        ([2, 1, 3], [2]),  # token 1 stands below node 1 alone
        ([7, 1], []),  # the root's own token is no child of it
        ([], []),
    ],
)
def test_a_text_is_followed_as_far_as_it_stays_in_the_tree(text, nodes):
    followed = FORK.follow(text)
    assert followed.dtype == np.int64
    assert followed.tolist() == nodes
    assert FORK.tokens[followed].tolist() == text[: len(nodes)]


def test_the_arrays_are_copied_and_read_only():
    tokens = np.array([1, 2])
    copied = DraftTree(tokens, np.array([-1, 0]), np.zeros(2))
    tokens[0] = 9
    assert copied.tokens.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        copied.tokens[0] = 3


def test_the_tree_of_plain_decoding():
    assert len(root_only(5)) == 1


@pytest.mark.parametrize(
    ("tokens", "parents", "log_probs", "message"),
    [
        ([], [], None, "at least the root"),
        ([1, 2], [-1], None, "equally long"),
        ([1, 2], [0, 0], None, "must be the root"),
        ([1, 2, 3], [-1, 2, 0], None, "parents must stand before their children"),
        ([1, 2, 3], [-1, 1, 0], None, "parents must stand before their children"),
        ([1, 2, 3], [-1, 0, -1], None, "second root"),
        ([1, -2], [-1, 0], None, "token ids"),
        ([1, 2], [-1, 0], np.array([0.0, 0.1]), "<= 0"),
        ([1, 2], [-1, 0], np.array([0.0, np.nan]), "NaN"),
        ([1, 2, 2], [-1, 0, 0], None, "distinct"),
    ],
)
def test_malformed_trees_are_refused(tokens, parents, log_probs, message):
    log_probs = np.zeros(len(tokens)) if log_probs is None else log_probs
    with pytest.raises(InvalidInput, match=message):
        DraftTree(np.array(tokens, dtype=np.int64), np.array(parents, dtype=np.int64), log_probs)
