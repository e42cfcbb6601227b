"""Drafter invariance: at one seed the race rule's text is the same for every drafter, tree and budget."""

import itertools

import numpy as np
import pytest
import torch

from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.drafter_choices import LayerSkip, Model, NGram, Plain
from speclight.drafting.drafters import new_drafter
from speclight.drafting.race import RaceGrowth, race_of
from speclight.drafting.race_confidence import AcceptanceByConfidence
from speclight.drafting.tree_choices import Batch, Chain, ConfidenceTree, Lists, RankTree
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.errors import InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.trees.growing_tree import CandidateLaw
from speclight.trees.race_noise import RaceField, race_winner
from speclight.trees.shapes import by_level
from speclight.verification.rules import RULES
from toys import tiny_target

PROMPT = [0, 3, 5, 1, 0, 3]
VOCABULARY, TOKENS = 7, 24
ACCEPTANCE = (0.5, 0.2, 0.1)


def target():
    return tiny_target(VOCABULARY, seed=4)


class RandomLaw:
    """A drafter that knows nothing: another law at every question."""

    name = "random"
    hidden_layers = ()

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def begin(self, token_ids, features):
        pass

    def extend(self, token_ids, features):
        pass

    def laws(self, known, nodes):
        return [
            CandidateLaw(np.arange(VOCABULARY), np.log(self.rng.dirichlet(np.ones(VOCABULARY))))
            for _ in nodes
        ]


def random_drafter(kind):
    shape = by_level([2, 1, 1])

    def start(root, node_budget, noise):
        return RaceGrowth(root, shape.within(node_budget), race_of(noise), VOCABULARY, kind=kind)

    return TreeDrafter(RandomLaw(), start)


def drafters(model):
    confidence = AcceptanceByConfidence(np.array([0.4]), np.array([[0.3, 0.2, 0.1], [0.6, 0.2, 0.0]]))
    return {
        "none": new_drafter(Plain(), model),
        "random": random_drafter("race"),
        "random, with replacement": random_drafter("race_with_replacement"),
        "ngram, most probable tokens": new_drafter(NGram(), model),
        "ngram": new_drafter(NGram(), model, Chain(kind="race")),
        "layer_skip, chain": new_drafter(LayerSkip(1), model, Chain(kind="race")),
        "layer_skip, samples": new_drafter(LayerSkip(1), model, Chain(kind="with_replacement")),
        "model itself, batch": new_drafter(Model(model), model, Batch(kind="race")),
        "rank tree": new_drafter(LayerSkip(1), model, RankTree(ACCEPTANCE, kind="race")),
        "confidence": new_drafter(LayerSkip(1), model, ConfidenceTree(confidence)),
    }


def text_of(model, drafter, *, seed=3, budget=6, rule="race", temperature=1.0):
    settings = DecodeSettings(
        node_budget=budget, max_tokens=TOKENS, seed=seed, sampling=SamplingSettings(temperature)
    )
    calls = list(decode(model, drafter, RULES[rule], PROMPT, settings))
    return [token for call in calls for token in call.emitted_tokens], len(calls)


def winners(model, seed, temperature=1.0):
    """The text by its definition: the race's winner at every position, no tree, cache or drafter."""
    text, field = list(PROMPT), RaceField(seed)
    for position in range(len(PROMPT), len(PROMPT) + TOKENS):
        logits = model.model(torch.tensor([text]), use_cache=False).logits[0, -1].double() / temperature
        law = torch.softmax(logits, dim=-1).numpy()
        text.append(race_winner(law, field.times(position, VOCABULARY)))
    return text[len(PROMPT) :]


@pytest.mark.slow
def test_the_text_is_the_same_for_every_drafter_tree_and_budget():
    """float64 weights: the races of 24 positions are decided by margins far above rounding."""
    model = target()
    expected = winners(model, seed=3)
    calls = {}
    for name, budget in itertools.product(drafters(model), (1, 2, 6, 13)):
        text, calls[name, budget] = text_of(model, drafters(model)[name], budget=budget)
        assert text == expected, (name, budget)
    assert calls["model itself, batch", 6] == TOKENS / 2  # always accepted, and one level deep
    assert calls["layer_skip, chain", 6] < TOKENS
    assert len(set(calls.values())) > 5  # the calls do differ


def test_another_seed_gives_another_text_and_another_temperature_too():
    model = target()
    texts = [text_of(model, drafters(model)["ngram"], seed=seed)[0] for seed in (3, 4)]
    assert texts[0] != texts[1]
    cold, _ = text_of(model, drafters(model)["ngram"], temperature=0.3)
    assert cold == winners(model, 3, temperature=0.3)
    assert cold != texts[0]


def test_a_coin_based_rule_is_not_invariant():
    """The same comparison notices a rule without the property."""
    model = target()
    texts = set()
    for kind, budget in (("with_replacement", 2), ("with_replacement", 6)):
        drafter = new_drafter(LayerSkip(1), model, Chain(kind=kind))
        texts.add(tuple(text_of(model, drafter, budget=budget, rule="rejection")[0]))
    assert len(texts) == 2


def test_list_sampling_is_invariant_only_given_its_drafts():
    model = target()
    texts = set()
    for noise_sets in (1, 3):
        drafter = new_drafter(LayerSkip(1), model, Lists(noise_sets))
        texts.add(tuple(text_of(model, drafter, budget=7, rule="gls")[0]))
    assert len(texts) == 2
    assert tuple(winners(model, seed=3)) in texts  # one set: the race itself


def test_a_perfect_drafter_is_always_accepted():
    model = target()
    for kind, rule in (("race", "race"), ("race_with_replacement", "race_with_replacement")):
        drafter = new_drafter(Model(model), model, Chain(kind=kind))
        _, calls = text_of(model, drafter, budget=6, rule=rule)
        assert calls == TOKENS / 6


@pytest.mark.parametrize(
    ("tree", "rule", "message"),
    [
        (
            Chain(kind="race"),
            "rejection",
            "verifies drafts that are deterministic or with_replacement",
        ),
        (Lists(2), "race", "got a gls one"),
        (Chain(kind="race"), "gls", "got a race one"),
    ],
)
def test_drafts_of_another_race_are_refused(tree, rule, message):
    model = target()
    with pytest.raises(InvalidInput, match=message):
        text_of(model, new_drafter(LayerSkip(1), model, tree), rule=rule)
