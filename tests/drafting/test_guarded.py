"""A failing drafter costs a warning and speed, never the text."""

import warnings

import numpy as np
import pytest

from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.guarded import DraftingFailed, GuardedDrafter, check_tree
from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.trees.draft_tree import DraftTree, SampledChildren
from speclight.trees.growing_tree import Draft, DraftCost
from speclight.verification.greedy import Greedy
from toys import law_after, tiny_target

PROMPT = [0, 1, 2]


def chain(*tokens, root):
    nodes = len(tokens) + 1
    return DraftTree(np.array([root, *tokens]), np.arange(-1, nodes - 1), np.zeros(nodes))


def sampled(law, root, drawn=1):
    samples = (SampledChildren(np.array(law), np.array([1])), None)
    return DraftTree(np.array([root, drawn]), np.array([-1, 0]), np.zeros(2), "with_replacement", samples)


class Scripted:
    """Drafts what a function of (last token, budget) returns or raises; may fail to take in tokens."""

    name = "scripted"
    hidden_layers = ()

    def __init__(self, draft, extend_error=None):
        self.draft, self.extend_error = draft, extend_error
        self.asked = 0

    def begin(self, token_ids, features):
        self.last = token_ids[-1]

    def propose(self, node_budget, noise):
        self.asked += 1
        return Draft(self.draft(self.last, node_budget), DraftCost(1, 1))

    def extend(self, token_ids, features):
        self.last = token_ids[-1]
        if self.extend_error is not None:
            raise self.extend_error


def raising(error):
    def draft(last, budget):
        raise error

    return draft


def nan_tree(last, budget):
    return DraftTree(np.array([last, 1]), np.array([-1, 0]), np.array([0.0, np.nan]))


BAD_DRAFTS = {
    "raises": raising(RuntimeError("out of memory")),
    "broken output": raising(BrokenModelOutput("NaN")),
    "NaN": nan_tree,
    "cycle": lambda last, budget: DraftTree(np.array([last, 1, 1]), np.array([-1, 2, 1]), np.zeros(3)),
    "over budget": lambda last, budget: chain(*([1] * budget), root=last),
    "wrong root": lambda last, budget: chain(1, root=(last + 1) % 3),
    "another vocabulary": lambda last, budget: chain(3, root=last),
    "no tree": lambda last, budget: None,
    "NaN law": lambda last, budget: sampled([np.nan, 0.5, 0.5], last),
    "law of another size": lambda last, budget: sampled([0.5, 0.5], last),
    "unnormalised law": lambda last, budget: sampled([1.0, 1.0, 1.0], last),
    "impossible draw": lambda last, budget: sampled([1.0, 0.0, 0.0], last),
}


def greedy_text(target, drafter, tokens=12):
    settings = DecodeSettings(4, tokens, sampling=SamplingSettings(0.0))
    calls = list(decode(target, GuardedDrafter(drafter, 3), Greedy(), PROMPT, settings))
    return [token for call in calls for token in call.emitted_tokens], calls


def plain_text(target, tokens=12):
    text = list(PROMPT)
    for _ in range(tokens):
        text.append(int(law_after(target, text).argmax()))
    return text[len(PROMPT) :]


@pytest.mark.parametrize("fault", BAD_DRAFTS)
def test_bad_drafts_are_decoded_plainly_with_a_warning(fault):
    target = tiny_target(seed=3, layers=1)
    drafter = Scripted(BAD_DRAFTS[fault])
    with pytest.warns(DraftingFailed, match="'scripted' gave no usable draft"):
        text, calls = greedy_text(target, drafter)
    assert text == plain_text(target)
    assert all(len(call.tree) == 1 for call in calls)
    assert drafter.asked == len(calls)  # every call is tried anew


def test_good_drafts_pass_unchanged_and_in_silence():
    target = tiny_target(seed=3, layers=1)
    expected = plain_text(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text, calls = greedy_text(target, Scripted(lambda last, budget: chain(1, 2, root=last)))
    assert text == expected
    assert all(call.tree.tokens[1:].tolist() == [1, 2] for call in calls)
    assert calls[0].draft_cost == DraftCost(1, 1)


def test_a_drafter_that_lost_the_text_is_not_asked_again():
    target = tiny_target(seed=3, layers=1)
    drafter = Scripted(lambda last, budget: chain(1, root=last), extend_error=KeyError("lost"))
    guarded = GuardedDrafter(drafter, 3)
    settings = DecodeSettings(4, 6, sampling=SamplingSettings(0.0))
    for texts in (1, 2):  # a new text is a new chance
        with pytest.warns(DraftingFailed, match="rest of this text"):
            calls = list(decode(target, guarded, Greedy(), PROMPT, settings))
        assert [token for call in calls for token in call.emitted_tokens] == plain_text(target, 6)
        assert drafter.asked == texts


def test_interrupts_are_passed_on():
    guarded = GuardedDrafter(Scripted(raising(KeyboardInterrupt())), 3)
    guarded.begin([1], None)
    with pytest.raises(KeyboardInterrupt):
        guarded.propose(4, None)


def test_a_sound_sampled_tree_is_let_through():
    check_tree(sampled([0.25, 0.25, 0.5], root=2), root_token=2, node_budget=2, vocabulary_size=3)
    with pytest.raises(InvalidInput, match="node budget 1"):
        check_tree(sampled([0.25, 0.25, 0.5], root=2), root_token=2, node_budget=1, vocabulary_size=3)
