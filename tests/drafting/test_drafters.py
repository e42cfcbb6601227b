"""Every drafter inside the real decode loop: the text keeps the target's law, the costs are as said."""

from functools import cache

import numpy as np
import pytest

import speclight
from cases import thinned
from every_outcome import law_of
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting import drafters
from speclight.drafting.drafter_choices import (
    DRAFTERS,
    FOR_ANALYSIS,
    LayerSkip,
    Lookahead,
    Model,
    NGram,
    Oracle,
    Plain,
    TwoStage,
)
from speclight.drafting.drafters import law_source, new_drafter
from speclight.drafting.tree_choices import (
    Batch,
    BestFirst,
    Chain,
    Eagle2,
    RankTree,
    Shape,
    Static,
    Threshold,
    default_tree,
)
from speclight.errors import InvalidInput
from speclight.models.packed_weights import PackedParameter, round_weights
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES
from speclight.verification.target_sample import TargetSample
from toys import as_target, exact_text_law, law_after, tiny_llama, word_tokenizer

PROMPT = [0, 1, 2, 0, 1]
# Texts of 3 tokens under a float64 target: the loop's law misses the chain rule's by rounding only.
EXACT_ATOL = 1e-12
VOCABULARY = 3


def target_of(seed=1, window=64):
    return as_target(tiny_llama(VOCABULARY, seed, layers=2, window=window))


def another_model(seed=7, window=64):
    return as_target(tiny_llama(VOCABULARY, seed, layers=1, window=window))


CHOICES = (
    Plain(),
    Model(another_model()),
    NGram(),
    LayerSkip(1),
    Lookahead(),
    TwoStage(Model(another_model())),
    Oracle(),
)
TREES = (
    BestFirst(),
    Eagle2(),
    Chain(),
    Batch(),
    Shape(((0,), (1,), (0, 0), (0, 1), (0, 0, 0))),
    Static((0.5, 0.3, 0.1)),
    RankTree((0.5, 0.3, 0.1)),
    Threshold(0.02),
)
by_name = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)


def run(target, drafter, settings, noise=None):
    """The calls of one decoding run."""
    return list(decode(target, drafter, TargetSample(), PROMPT, settings, noise))


def emitted(calls):
    return tuple(token for call in calls for token in call.emitted_tokens)


def enumerated_law(target, drafter, node_budget, length):
    settings = DecodeSettings(node_budget=node_budget, max_tokens=length)
    return law_of(lambda noise: emitted(run(target, drafter, settings, noise)))


def worst_difference(law, exact):
    assert law.keys() == exact.keys()
    return max(abs(law[text] - exact[text]) for text in exact)


@by_name
@pytest.mark.parametrize(("node_budget", "length"), [(4, 2), pytest.param(5, 3, marks=pytest.mark.slow)])
def test_the_enumerated_law_is_the_targets(choice, node_budget, length):
    target = target_of()
    drafter = new_drafter(choice, target)
    law = enumerated_law(target, drafter, node_budget, length)
    assert worst_difference(law, exact_text_law(target, PROMPT, length)) < EXACT_ATOL


@pytest.mark.slow  # tests/decoding/test_rule_losslessness.py enumerates sampled drafts in every run
@pytest.mark.parametrize("choice", CHOICES[1:3], ids=["model", "ngram"])
@pytest.mark.parametrize("kind", ["without_replacement", "with_replacement"])
def test_the_enumerated_law_with_sampled_candidates(choice, kind):
    target = target_of()
    drafter = new_drafter(choice, target, Chain(kind=kind))
    law = enumerated_law(target, drafter, node_budget=2, length=2)
    assert worst_difference(law, exact_text_law(target, PROMPT, 2)) < EXACT_ATOL


@cache
def greedy_text(seed, length):
    """Of the target with that seed, by plain passes."""
    target, text = target_of(seed), list(PROMPT)
    for _ in range(length):
        text.append(int(law_after(target, text).argmax()))
    return tuple(text[len(PROMPT) :])


@pytest.mark.parametrize(
    ("choice", "tree"),
    [
        *((CHOICES[1], tree) for tree in TREES),
        # The enumerated law is that of every drafter: three of them write long texts in every run too.
        *thinned([(choice, BestFirst()) for choice in (*CHOICES[2:4], CHOICES[5], *CHOICES)], 3),
    ],
    ids=lambda part: type(part).__name__,
)
def test_greedy_text_is_that_of_plain_decoding(choice, tree):
    target = target_of(seed=3)
    drafter = new_drafter(choice, target, tree)
    calls = run(target, drafter, DecodeSettings(6, 24, sampling=SamplingSettings(0.0)))
    assert emitted(calls) == greedy_text(3, 24)
    assert all(len(call.tree) <= 6 for call in calls)


def test_the_oracle_at_temperature_zero_is_always_right():
    target = target_of()
    greedy = SamplingSettings(0.0)
    drafter = new_drafter(Oracle(), target, sampling=greedy)
    calls = run(target, drafter, DecodeSettings(8, 24, sampling=greedy))
    assert [call.tokens_emitted for call in calls] == [8, 8, 8]
    assert FOR_ANALYSIS == {"oracle"}


def test_costs_are_calls_and_expanded_nodes():
    target = target_of()
    calls = run(target, new_drafter(Model(another_model()), target, Chain()), DecodeSettings(4, 12))
    assert {(call.draft_cost.calls, call.draft_cost.expanded_nodes) for call in calls} == {(3, 3)}
    calls = run(target, new_drafter(Plain(), target), DecodeSettings(4, 3))
    assert {(call.draft_cost.calls, call.draft_cost.expanded_nodes) for call in calls} == {(0, 0)}


def test_a_model_read_for_a_compiled_target_is_rounded_and_the_text_is_the_targets(tmp_path, monkeypatch):
    """Its matrices whose rows are whole blocks, here one of a layer; the target's own are not."""
    for number, layers in enumerate((1, 2)):
        tiny_llama(VOCABULARY, seed=number, layers=layers).save_pretrained(tmp_path / str(layers))
        word_tokenizer(VOCABULARY).save_pretrained(tmp_path / str(layers))
    target = speclight.load(tmp_path / "2", kernels="compiled")
    rounded = []
    monkeypatch.setattr(
        drafters, "round_weights", lambda model: (round_weights(model), rounded.append(model))
    )
    drafter = new_drafter(Model(str(tmp_path / "1")), target)
    (model,) = rounded
    kinds = {name: type(weight) for name, weight in model.named_parameters()}
    packed = {name for name, kind in kinds.items() if kind is PackedParameter}
    assert packed == {"model.layers.0.mlp.down_proj.weight"}
    assert not any(isinstance(weight, PackedParameter) for weight in target.model.parameters())
    greedy = DecodeSettings(6, 24, sampling=SamplingSettings(0.0))
    plain = emitted(run(target, new_drafter(Plain(), target), greedy))
    assert emitted(run(target, drafter, greedy)) == plain
    new_drafter(Model(str(tmp_path / "1")), target_of())
    assert len(rounded) == 1  # as Transformers computes a target, so its drafter


def test_a_drafter_with_a_smaller_window_stops_drafting_there():
    target = target_of(seed=3)
    drafter = new_drafter(Model(another_model(window=12)), target)
    calls = run(target, drafter, DecodeSettings(6, 40, sampling=SamplingSettings(0.0)))
    assert emitted(calls) == greedy_text(3, 40)
    assert len(calls[0].tree) == 6
    assert len(calls[-1].tree) == 1


def test_end_of_text_is_never_drafted():
    target = as_target(tiny_llama(VOCABULARY, 1, layers=3), end_of_text=frozenset({2}))
    for choice in CHOICES:
        calls = run(target, new_drafter(choice, target), DecodeSettings(6, 12, seed=4))
        assert all(2 not in call.tree.tokens[1:] for call in calls)
    sampling = new_drafter(Model(another_model()), target, Chain(kind="with_replacement"))
    calls = run(target, sampling, DecodeSettings(6, 12, seed=4))
    assert all(2 not in call.tree.tokens[1:] for call in calls)


def test_under_the_drafters_own_law_no_tree_beats_best_first():
    """Sum of path probabilities of each call's first tree, for every tree of the same number of nodes."""
    target = target_of()
    for seed in range(3):
        model = as_target(tiny_llama(VOCABULARY, seed, layers=1))
        value = {}
        for tree in TREES:
            (first, *_) = run(target, new_drafter(Model(model), target, tree), DecodeSettings(6, 1))
            value[tree] = float(np.exp(first.tree.path_log_probs).sum())
        # Probabilities of the same path computed in batches of another size differ by rounding.
        assert value[BestFirst()] >= max(value.values()) - EXACT_ATOL
        assert value[BestFirst()] > value[Batch()]


@pytest.mark.parametrize("choice", [LayerSkip(0), LayerSkip(2), TwoStage(LayerSkip(2))])
def test_layers_that_the_target_does_not_have_are_refused(choice):
    with pytest.raises(InvalidInput, match="expected 1 to 1"):
        new_drafter(choice, target_of())


def test_plain_decoding_has_no_law():
    with pytest.raises(InvalidInput, match="no drafter"):
        law_source(Plain(), target_of())


def test_every_drafter_is_listed_under_its_name():
    assert all(choice.name == name for name, choice in DRAFTERS.items())
    assert {choice.name for choice in CHOICES} <= {"none", *DRAFTERS}


@by_name
@pytest.mark.parametrize("budget", [1, 4])
def test_prompts_of_one_token_draft_without_a_fault(choice, budget):
    """Warnings are errors here: a drafter that stumbles over an empty cache would be seen."""
    target = target_of()
    made = new_drafter(choice, target)
    settings = DecodeSettings(budget, 4, sampling=SamplingSettings(0.0))
    calls = list(decode(target, made, TargetSample(), [1], settings))
    text = [1]
    for token in emitted(calls):
        assert token == int(np.argmax(law_after(target, text)))
        text.append(token)
    assert len(text) == 5


@pytest.mark.parametrize("in_two_stages", [False, True])
def test_prompts_that_a_drafter_has_no_room_for_are_decoded_plainly(in_two_stages):
    target, model = target_of(), Model(another_model(window=4))
    made = new_drafter(TwoStage(model) if in_two_stages else model, target)
    calls = run(target, made, DecodeSettings(4, 6, sampling=SamplingSettings(0.0)))
    assert len(emitted(calls)) == 6


@pytest.mark.parametrize("kind", ["deterministic", "with_replacement", "without_replacement", "race"])
@pytest.mark.parametrize("tree", [None, Batch])
def test_end_of_text_ids_outside_the_vocabulary_are_nobodys(kind, tree):
    """Some configs name such ids; drafts leave end-of-text tokens out by their index."""
    target = target_of()
    target.end_of_text = frozenset({VOCABULARY, 128009, -1})
    assert target.end_of_text == frozenset()
    made = new_drafter(LayerSkip(1), target, tree(kind=kind) if tree else default_tree(kind))
    rule = next(rule for rule in RULES.values() if kind in rule.draft_kinds and rule.name != "greedy")
    calls = list(decode(target, made, rule, PROMPT, DecodeSettings(4, 12)))
    assert any(len(call.tree) > 1 for call in calls)
