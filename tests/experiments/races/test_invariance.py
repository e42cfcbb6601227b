"""One text for every drafter: counted on toys, with a rule that breaks it, and on the default target."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from speclight.decoding.divergence import near_tie_margin, plain_logits
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import Eagle3, LayerSkip, NGram
from speclight.drafting.drafters import new_drafter
from speclight.drafting.growth_start import growth_start
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.tree_choices import Batch, Chain, RankTree
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.experiments.races.invariance import RandomLaw, drafter_invariance, race_difference
from speclight.models.prompting import chat_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.trees.race_noise import RaceField
from speclight.verification.race import Race
from speclight.verification.verdict import Verdict
from toys import tiny_target

VOCABULARY = 7
PROMPTS = [[0, 3, 5, 1], [2, 2, 4]]


class FreshOnMismatch(Race):
    """Broken on purpose: where the winner was not drafted, another token is drawn."""

    def verify(self, tree, target_laws, noise):
        verdict = super().verify(tree, target_laws, noise)
        node = int(verdict.path[-1])
        return Verdict(verdict.path, noise.sample(node, target_laws(node)))


def rows_of(target):
    makers = {
        "layer_skip": lambda: new_drafter(LayerSkip(1), target, Batch(kind="race")),
        "random": lambda: TreeDrafter(RandomLaw(VOCABULARY), growth_start(Chain(kind="race"), target)),
    }
    return drafter_invariance(target, PROMPTS, makers, (2, 5), DecodeSettings(max_tokens=12))


def test_all_texts_are_the_plain_ones():
    rows = rows_of(tiny_target(VOCABULARY, seed=4))
    assert [(row.drafter, row.node_budget) for row in rows] == [
        ("layer_skip", 2),
        ("layer_skip", 5),
        ("random", 2),
        ("random", 5),
    ]
    for row in rows:
        assert (row.texts, row.tokens, row.identical, row.near_ties, row.other) == (2, 24, 2, 0, 0)
        assert row.calls <= 24
        assert row.observed > 0
        assert 1.0 <= row.tokens_per_call <= row.node_budget
    assert rows[1].calls < 24


def test_a_rule_whose_text_depends_on_the_draft_is_noticed(monkeypatch):
    """Four comparisons of two texts of 12 tokens: that none differs has a probability below 1e-6."""
    monkeypatch.setattr("speclight.experiments.races.invariance.rule_named", lambda name: FreshOnMismatch())
    assert sum(row.other for row in rows_of(tiny_target(VOCABULARY, seed=4))) > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_a_difference_is_measured_in_logits_and_judged_by_the_type(dtype, temperature):
    """The race is in nats at the temperature; rounding moves the logits before it."""
    target = tiny_target(VOCABULARY, seed=4)
    target.model.to(dtype)
    settings = DecodeSettings(max_tokens=3, sampling=SamplingSettings(temperature))
    plain = generate_from_ids(target, PROMPTS[0], NoDrafter(), Race(), replace(settings, node_budget=1))
    assert race_difference(target, PROMPTS[0], settings, plain, plain) is None
    before = [*PROMPTS[0], *plain.token_ids[:2]]
    logits = plain_logits(target, before).numpy()
    times = RaceField(settings.seed).times(len(before), VOCABULARY)
    arrivals = np.log(times) * temperature - logits
    order = np.argsort(arrivals)
    assert order[0] == plain.token_ids[2]
    for token in order[1:]:
        other = replace(plain, token_ids=(*plain.token_ids[:2], int(token)))
        found = race_difference(target, PROMPTS[0], settings, other, plain)
        assert found.place == 2
        assert abs(found.margin - (arrivals[token] - arrivals[order[0]])) < 1e-6  # rounding of logarithms
        assert found.rounding == near_tie_margin(target, np.abs(logits[[token, order[0]]]).max())
        assert found.is_near_tie == (found.margin <= found.rounding)
    short = replace(plain, token_ids=plain.token_ids[:2])
    assert not race_difference(target, PROMPTS[0], settings, short, plain).is_near_tie


@pytest.mark.slow
@pytest.mark.model
def test_the_default_target_writes_one_text(default_target):
    """Float32 and real drafters: a text may leave the plain one at a near tie only."""
    target = default_target
    prompt = chat_token_ids(target, [{"role": "user", "content": "Name three colours."}])
    race = RankTree((0.5, 0.2, 0.1), kind="race")
    makers = {
        "ngram": lambda: new_drafter(NGram(), target),
        "eagle3": lambda: new_drafter(Eagle3(), target, race),
        "random": lambda: TreeDrafter(RandomLaw(target.vocabulary_size), growth_start(race, target)),
    }
    rows = drafter_invariance(target, [prompt], makers, (6,), DecodeSettings(max_tokens=8))
    for row in rows:
        assert row.other == 0, row
        assert row.identical + row.near_ties == 1
    assert np.mean([row.tokens_per_call for row in rows if row.drafter == "eagle3"]) > 1.0
