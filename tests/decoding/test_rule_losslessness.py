"""Every lossless rule through the real loop: drafter, tree attention, cache, verdict, commit, next round.

All randomness of `decode` is enumerated, drafts included, on a tiny Llama; the law of whole texts must be the
chain rule's. Every text is also reached one token a call, so that drafting resumes after each rejection.
"""

import numpy as np
import pytest
import torch

from every_outcome import law_of
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.errors import InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.sampled import SampledGrowth
from speclight.trees.shapes import TopRankGrowth, by_level
from speclight.verification.rules import RULES
from toys import exact_text_law, tiny_target

PROMPT = [0, 1, 2, 0]
VOCABULARY = 3
# Texts of 3 tokens under a float64 target: the loop's law misses the chain rule's by rounding only.
EXACT_ATOL = 1e-12


class TabularLaw:
    """A drafter's law that depends on the whole text before the token, drafted tokens included."""

    name = "tabular"
    hidden_layers = ()

    def __init__(self):
        self.text = []

    def begin(self, token_ids, features):
        self.text = list(token_ids)

    def extend(self, token_ids, features):
        self.text.extend(token_ids)

    def laws(self, known, nodes):
        return [
            self.law([*self.text, *(known.tokens[step] for step in known.path(node)[1:])]) for node in nodes
        ]

    @staticmethod
    def law(text):
        rng = np.random.default_rng([len(text), *text])
        probabilities = rng.dirichlet(np.ones(VOCABULARY))
        probabilities[rng.integers(VOCABULARY)] = 0.0  # two tokens halve what must be enumerated
        tokens = np.flatnonzero(probabilities)
        return CandidateLaw(tokens, np.log(probabilities[tokens] / probabilities.sum()))


def drafter(shape, kind):
    def start(root, node_budget, noise):
        cut = shape.within(node_budget)
        if kind == "deterministic":
            return TopRankGrowth(root, cut)
        return SampledGrowth(root, cut, VOCABULARY, noise, replacement=kind == "with_replacement")

    return TreeDrafter(TabularLaw(), start)


def settings(name, length):
    return DecodeSettings(
        node_budget=8,
        max_tokens=length,
        sampling=SamplingSettings(temperature=0.0 if name == "greedy" else 1.0),
    )


def enumerated_law(name, shape, kind, length, target):
    """The law of whole texts, and the largest number of calls one took."""

    def run(noise):
        chosen = drafter(shape, kind)
        calls = list(decode(target, chosen, RULES[name], PROMPT, settings(name, length), noise))
        return tuple(token for call in calls for token in call.emitted_tokens), len(calls)

    law: dict[tuple[int, ...], float] = {}
    found = law_of(run)
    for (text, _), probability in found.items():
        law[text] = law.get(text, 0.0) + probability
    return law, max(calls for _, calls in found)


@pytest.mark.parametrize(
    ("name", "kind", "children", "length"),
    [
        ("rejection", "deterministic", (2,), 3),
        pytest.param("rejection", "with_replacement", (2,), 3, marks=pytest.mark.slow),
        ("rejection_without_replacement", "without_replacement", (2,), 2),
        pytest.param("rejection_without_replacement", "without_replacement", (2,), 3, marks=pytest.mark.slow),
        ("k_seq", "with_replacement", (2,), 2),
        pytest.param("k_seq", "with_replacement", (2,), 3, marks=pytest.mark.slow),
        pytest.param("block", "with_replacement", (1, 1), 3, marks=pytest.mark.slow),
        pytest.param("traversal", "with_replacement", (2, 1), 2, marks=pytest.mark.slow),
        pytest.param("traversal", "without_replacement", (2,), 3, marks=pytest.mark.slow),
        ("traversal", "without_replacement", (2,), 2),
    ],
)
def test_the_law_of_texts_is_the_targets(name, kind, children, length):
    target = tiny_target(seed=1, layers=1)
    law, rounds = enumerated_law(name, by_level(children), kind, length, target)
    exact = exact_text_law(target, PROMPT, length)
    assert rounds == length
    assert max(abs(law.get(text, 0.0) - exact[text]) for text in exact) < EXACT_ATOL


def test_greedy_text_is_plain_greedy_text():
    target = tiny_target(seed=1, layers=1)
    text = list(PROMPT)
    for _ in range(6):
        logits = target.model(torch.tensor([text]), use_cache=False).logits[0, -1]
        text.append(int(logits.argmax()))
    law, _ = enumerated_law("greedy", by_level((2, 1)), "deterministic", 6, target)
    assert law == {tuple(text[len(PROMPT) :]): 1.0}


def test_a_lossy_rule_is_noticed_by_the_same_enumeration():
    target = tiny_target(seed=1, layers=1)
    law, _ = enumerated_law("typical", by_level((2,)), "deterministic", 3, target)
    exact = exact_text_law(target, PROMPT, 3)
    assert max(abs(law.get(text, 0.0) - exact[text]) for text in exact) > 1e-3


def test_a_draft_of_a_kind_the_rule_is_not_made_for_is_refused():
    calls = decode(
        tiny_target(seed=1, layers=1),
        drafter(by_level((2,)), "without_replacement"),
        RULES["k_seq"],
        PROMPT,
        settings("k_seq", 3),
    )
    with pytest.raises(
        InvalidInput, match=r"'k_seq' verifies drafts that are with_replacement, got a without_replacement"
    ):
        next(calls)
