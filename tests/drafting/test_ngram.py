"""Prompt lookup: which continuations are found, how they weigh, and what is never drafted."""

import time
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speclight.drafting.ngram import LONGEST_NGRAM, SHORTEST_NGRAM, NgramLaw
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import GrowingTree

END_OF_TEXT = 9
PROBABILITY_ATOL = 1e-12  # quotients of small counts


def drafter(never_drafted=()):
    return TreeDrafter(NgramLaw(), lambda root, budget, noise: BestFirstGrowth(root, budget, never_drafted))


def root_law(text):
    law = NgramLaw()
    law.begin(list(text), None)
    (found,) = law.laws(GrowingTree(text[-1]), [0])
    return dict(zip(found.tokens.tolist(), np.exp(found.log_probs).tolist(), strict=True))


def law_by_search(text):
    """The same law by looking through the text once for each length."""
    for length in range(min(LONGEST_NGRAM, len(text)), SHORTEST_NGRAM - 1, -1):
        ends = [end for end in range(length, len(text)) if text[end - length : end] == text[-length:]]
        if ends:
            followers = [text[end] for end in ends]
            return {token: followers.count(token) / len(followers) for token in set(followers)}
    return {}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_the_law_is_what_a_search_through_the_text_finds(text):
    found, expected = root_law(text), law_by_search(text)
    assert found.keys() == expected.keys()
    assert all(abs(found[token] - expected[token]) < PROBABILITY_ATOL for token in expected)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.data())
def test_a_text_in_pieces_is_the_same_text(text, data):
    cut = data.draw(st.integers(1, len(text)))
    law = NgramLaw()
    law.begin(text[:cut], None)
    law.extend(text[cut:], None)
    (found,) = law.laws(GrowingTree(text[-1]), [0])
    assert dict(zip(found.tokens.tolist(), np.exp(found.log_probs).tolist(), strict=True)) == root_law(text)


def test_it_branches_by_counts():
    lookup = drafter()
    lookup.begin([1, 2, 3, 0, 1, 2, 4, 5, 1, 2, 3, 6, 1, 2], None)
    tree = lookup.propose(4, None).tree
    assert tree.tokens.tolist() == [2, 3, 4, 0]
    assert tree.parents.tolist() == [-1, 0, 0, 1]
    np.testing.assert_allclose(np.exp(tree.log_probs[1:]), [2 / 3, 1 / 3, 1 / 2], atol=PROBABILITY_ATOL)


def test_the_longest_match_decides():
    # After "5 6", 7 follows more often; after "4 5 6" it was 8 the only time.
    assert root_law([5, 6, 7, 0, 5, 6, 7, 0, 4, 5, 6, 8, 0, 4, 5, 6]) == {8: 1.0}


def test_end_of_text_tokens_are_ignored():
    lookup = drafter(never_drafted={END_OF_TEXT})
    lookup.begin([1, 2, END_OF_TEXT, 1, 2], None)
    assert len(lookup.propose(8, None).tree) == 1
    lookup.begin([1, 2, END_OF_TEXT, 1, 2, 3, 1, 2], None)
    assert END_OF_TEXT not in lookup.propose(8, None).tree.tokens[1:]


def test_a_new_token_has_no_draft():
    lookup = drafter()
    lookup.begin([1, 2, 3, 4], None)
    assert len(lookup.propose(8, None).tree) == 1


def test_a_long_text_is_read_and_looked_up_quickly():
    """8,192 tokens: milliseconds per draft and tens of megabytes, with room for a loaded machine."""
    text = np.random.default_rng(0).zipf(1.3, size=8192).clip(max=49151).tolist()
    tracemalloc.start()
    lookup = drafter()
    lookup.begin(text, None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    started = time.process_time()
    for _ in range(20):
        lookup.propose(16, None)
    assert (time.process_time() - started) / 20 < 0.1
    assert held < 40e6
