"""Jacobi iteration and the pool of n-grams it fills."""

import numpy as np

from speclight.drafting.lookahead import WINDOW, LookaheadLaw
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree


def drafter(never_drafted=()):
    return TreeDrafter(
        LookaheadLaw(), lambda root, budget, noise: BestFirstGrowth(root, budget, never_drafted)
    )


def decoded(lookahead, prompt, best_token, calls, budget):
    """Greedy decoding with a target given as a function of the text; returns tokens emitted per call."""
    text, emitted_per_call = list(prompt), []
    lookahead.begin(list(prompt), None)
    for _ in range(calls):
        tree = lookahead.propose(budget, None).tree
        predicted = np.array(
            [best_token([*text, *tree.tokens[tree.path(node)[1:]].tolist()]) for node in range(len(tree))]
        )
        lookahead.observe(tree, predicted)
        node, emitted = 0, [int(predicted[0])]
        while match := [child for child in tree.children(node) if tree.tokens[child] == emitted[-1]]:
            node = match[0]
            emitted.append(int(predicted[node]))
        lookahead.extend(emitted, None)
        text += emitted
        emitted_per_call.append(len(emitted))
    return text[len(prompt) :], emitted_per_call


def test_the_first_draft_is_a_chain_of_guesses():
    lookahead = drafter()
    lookahead.begin([5, 6, 7], None)
    tree = lookahead.propose(5, None).tree
    assert tree.tokens.tolist() == [7, 5, 6, 7, 5]
    assert tree.parents.tolist() == [-1, 0, 1, 2, 3]
    assert len(lookahead.propose(WINDOW + 9, None).tree) == WINDOW + 1


def test_guesses_become_what_the_target_predicts_after_them():
    """One Jacobi step along the chain, then the window moves on by the token emitted."""
    law = LookaheadLaw()
    law.begin([1, 2], None)  # guesses 1, 2, 1, 2, ...
    chain = DraftTree(np.array([2, 1, 2, 1]), np.array([-1, 0, 1, 2]), np.zeros(4))
    law.observe(chain, np.array([30, 31, 32, 33]))
    assert law._guesses[:5] == [30, 31, 32, 33, 1]
    law.extend([30], None)
    assert law._guesses[:4] == [31, 32, 33, 1]
    assert len(law._guesses) == WINDOW


def test_guesses_that_are_not_in_the_tree_stay():
    law = LookaheadLaw()
    law.begin([1, 2], None)
    other = DraftTree(np.array([2, 7]), np.array([-1, 0]), np.zeros(2))
    law.observe(other, np.array([30, 31]))
    assert law._guesses[:3] == [30, 2, 1]


def test_rejected_nodes_fill_the_pool():
    law = LookaheadLaw()
    law.begin([1, 2], None)
    law.observe(DraftTree(np.array([2, 7]), np.array([-1, 0]), np.zeros(2)), np.array([5, 8]))
    law.extend([5], None)  # 7 was rejected
    law.extend([7], None)
    tree = TreeDrafter(law, lambda root, budget, noise: BestFirstGrowth(root, budget))
    tree._last = 7
    drafted = tree.propose(3, None).tree
    assert 8 in drafted.tokens[drafted.children(0)]


def test_a_periodic_target_is_soon_predicted():
    def next_token(text):
        return (text[-1] + 1) % 6

    text, per_call = decoded(drafter(), [0, 3], next_token, 14, 8)
    assert text == [(4 + step) % 6 for step in range(len(text))]
    assert per_call[0] <= 2
    assert min(per_call[8:]) >= 6


def test_jacobi_converges_on_any_deterministic_target():
    """A chain of guesses is never worse than plain decoding and is right where it was right."""

    def next_token(text):
        return (7 * text[-1] + 3 * text[-2] + len(text)) % 11

    text, per_call = decoded(drafter(), [1, 2], next_token, 30, 6)
    plain = [1, 2]
    while len(plain) < len(text) + 2:
        plain.append(next_token(plain))
    assert text == plain[2:]
    assert sum(per_call) > 30


def test_end_of_text_tokens_are_ignored():
    lookahead = drafter(never_drafted={6})
    lookahead.begin([5, 6, 7], None)
    assert 6 not in lookahead.propose(5, None).tree.tokens[1:]
