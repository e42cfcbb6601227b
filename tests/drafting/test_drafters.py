"""Every drafter inside the real decode loop: the text keeps the target's law, the costs are as said."""

import itertools

import numpy as np
import pytest

from every_outcome import law_of
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.drafters import DRAFTERS, drafter_named
from speclight.drafting.settings import DrafterSettings
from speclight.errors import InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES
from speclight.verification.target_sample import TargetSample
from toys import as_target, exact_text_law, law_after, tiny_llama

PROMPT = [0, 1, 2, 0, 1]
# Texts of 3 tokens under a float64 target: the loop's law misses the chain rule's by rounding only.
EXACT_ATOL = 1e-12
VOCABULARY = 3


def target_of(seed=1, window=64):
    return as_target(tiny_llama(VOCABULARY, seed, layers=3, window=window))


def another_model(seed=7, window=64):
    return as_target(tiny_llama(VOCABULARY, seed, layers=1, window=window))


DRAFTER_SETTINGS = {
    "none": DrafterSettings(),
    "model": DrafterSettings(weights=another_model()),
    "ngram": DrafterSettings(),
    "layer_skip": DrafterSettings(layers=2),
    "lookahead": DrafterSettings(),
    "two_stage": DrafterSettings(weights=another_model()),
    "oracle": DrafterSettings(),
}
TREE_SETTINGS = {
    "best_first": {},
    "eagle2": {},
    "chain": {},
    "batch": {},
    "shape": {"choices": ((0,), (1,), (0, 0), (0, 1), (0, 0, 0))},
    "static": {"acceptance": (0.5, 0.3, 0.1)},
    "rank": {"acceptance": (0.5, 0.3, 0.1)},
    "threshold": {"least_probability": 0.02},
}


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


@pytest.mark.parametrize("name", DRAFTER_SETTINGS)
def test_the_enumerated_law_is_the_targets(name):
    target = target_of()
    drafter = drafter_named(name, target, DRAFTER_SETTINGS[name])
    law = enumerated_law(target, drafter, node_budget=5, length=3)
    assert worst_difference(law, exact_text_law(target, PROMPT, 3)) < EXACT_ATOL


@pytest.mark.parametrize("name", ["model", "ngram"])
@pytest.mark.parametrize("kind", ["with_replacement", "without_replacement"])
def test_the_enumerated_law_with_sampled_candidates(name, kind):
    target = target_of()
    options = DRAFTER_SETTINGS[name]
    settings = DrafterSettings(kind=kind, weights=options.weights)
    drafter = drafter_named(name, target, settings)
    law = enumerated_law(target, drafter, node_budget=2, length=2)
    assert worst_difference(law, exact_text_law(target, PROMPT, 2)) < EXACT_ATOL


def greedy_text(target, length):
    text = list(PROMPT)
    for _ in range(length):
        text.append(int(law_after(target, text).argmax()))
    return tuple(text[len(PROMPT) :])


@pytest.mark.parametrize(
    ("name", "tree"),
    [*itertools.product(DRAFTER_SETTINGS, ["best_first"]), *itertools.product(["model"], TREE_SETTINGS)],
)
def test_greedy_text_is_that_of_plain_decoding(name, tree):
    target = target_of(seed=3)
    options = DRAFTER_SETTINGS[name]
    settings = (
        DrafterSettings(tree=tree, weights=options.weights, layers=options.layers, **TREE_SETTINGS[tree])
        if name != "none"
        else None
    )
    drafter = drafter_named(name, target, settings)
    calls = run(target, drafter, DecodeSettings(6, 40, sampling=SamplingSettings(0.0)))
    assert emitted(calls) == greedy_text(target, 40)
    assert all(len(call.tree) <= 6 for call in calls)


def test_the_oracle_at_temperature_zero_is_always_right():
    target = target_of()
    greedy = SamplingSettings(0.0)
    drafter = drafter_named("oracle", target, DrafterSettings(sampling=greedy))
    calls = run(target, drafter, DecodeSettings(8, 24, sampling=greedy))
    assert [call.tokens_emitted for call in calls] == [8, 8, 8]
    assert DRAFTERS["oracle"].is_for_analysis
    assert [name for name, choice in DRAFTERS.items() if choice.is_for_analysis] == ["oracle"]


def test_costs_are_calls_and_expanded_nodes():
    target = target_of()
    settings = DrafterSettings(tree="chain", weights=another_model())
    calls = run(target, drafter_named("model", target, settings), DecodeSettings(4, 12))
    assert {(call.draft_cost.calls, call.draft_cost.expanded_nodes) for call in calls} == {(3, 3)}
    calls = run(target, drafter_named("none", target), DecodeSettings(4, 3))
    assert {(call.draft_cost.calls, call.draft_cost.expanded_nodes) for call in calls} == {(0, 0)}


def test_a_drafter_with_a_smaller_window_stops_drafting_there():
    target = target_of(seed=3)
    settings = DrafterSettings(weights=another_model(window=12))
    drafter = drafter_named("model", target, settings)
    calls = run(target, drafter, DecodeSettings(6, 40, sampling=SamplingSettings(0.0)))
    assert emitted(calls) == greedy_text(target, 40)
    assert len(calls[0].tree) == 6
    assert len(calls[-1].tree) == 1


def test_end_of_text_is_never_drafted():
    target = as_target(tiny_llama(VOCABULARY, 1, layers=3), end_of_text=frozenset({2}))
    for name, options in DRAFTER_SETTINGS.items():
        calls = run(target, drafter_named(name, target, options), DecodeSettings(6, 12, seed=4))
        assert all(2 not in call.tree.tokens[1:] for call in calls)
    sampled = DrafterSettings(kind="with_replacement", weights=another_model())
    calls = run(target, drafter_named("model", target, sampled), DecodeSettings(6, 12, seed=4))
    assert all(2 not in call.tree.tokens[1:] for call in calls)


def test_under_the_drafters_own_law_no_tree_beats_best_first():
    """Sum of path probabilities of each call's first tree, for every tree of the same number of nodes."""
    target = target_of()
    for seed in range(20):
        model = as_target(tiny_llama(VOCABULARY, seed, layers=1))
        value = {}
        for tree, options in TREE_SETTINGS.items():
            settings = DrafterSettings(tree=tree, weights=model, **options)
            (first, *_) = run(target, drafter_named("model", target, settings), DecodeSettings(6, 1))
            value[tree] = float(np.exp(first.tree.path_log_probs).sum())
        # Probabilities of the same path computed in batches of another size differ by rounding.
        assert value["best_first"] >= max(value.values()) - EXACT_ATOL
        assert value["best_first"] > value["batch"]


class TestNames:
    def test_unknown_names_list_the_known_ones(self):
        target = target_of()
        with pytest.raises(InvalidInput) as error:
            drafter_named("nonsense", target)
        assert all(name in str(error.value) for name in ["none", *DRAFTERS])
        assert set(DRAFTER_SETTINGS) <= {"none", *DRAFTERS}
        with pytest.raises(InvalidInput, match="best_first, eagle2, chain, batch, shape, static"):
            drafter_named("ngram", target, DrafterSettings(tree="bush"))

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("ngram", {"layers": 2}, "no use for layers"),
            ("none", {"acceptance": (0.5,)}, "no use for acceptance"),
            ("ngram", {"choices": ((0,),)}, "no use for choices"),
            ("model", {}, "needs weights"),
            ("layer_skip", {"layers": 3}, "expected 1 to 2"),
            ("layer_skip", {"layers": 0}, "expected 1 to 2"),
            ("two_stage", {"layers": 1, "weights": another_model()}, "give one of them"),
            ("ngram", {"tree": "shape"}, "needs `choices`"),
            ("ngram", {"tree": "static"}, "needs `acceptance`"),
            ("ngram", {"tree": "eagle2", "kind": "with_replacement"}, "fixed shape"),
        ],
    )
    def test_settings_that_do_not_fit(self, name, options, message):
        with pytest.raises(InvalidInput, match=message):
            drafter_named(name, target_of(), DrafterSettings(**options))

    @pytest.mark.parametrize("options", [{"kind": "guessed"}, {"vocabulary": "similar"}])
    def test_settings_that_mean_nothing(self, options):
        with pytest.raises(InvalidInput, match="expected"):
            DrafterSettings(**options)


@pytest.mark.parametrize(
    "drafter", ["none", "model", "ngram", "layer_skip", "lookahead", "two_stage", "oracle"]
)
@pytest.mark.parametrize("budget", [1, 4])
def test_prompts_of_one_token_draft_without_a_fault(drafter, budget):
    """Warnings are errors here: a drafter that stumbles over an empty cache would be seen."""
    target = target_of()
    made = drafter_named(drafter, target, DRAFTER_SETTINGS[drafter])
    settings = DecodeSettings(budget, 4, sampling=SamplingSettings(0.0))
    calls = list(decode(target, made, TargetSample(), [1], settings))
    text = [1]
    for token in emitted(calls):
        assert token == int(np.argmax(law_after(target, text)))
        text.append(token)
    assert len(text) == 5


@pytest.mark.parametrize("drafter", ["model", "two_stage"])
def test_prompts_that_a_drafter_has_no_room_for_are_decoded_plainly(drafter):
    target = target_of()
    settings = DrafterSettings(weights=another_model(window=4))
    made = drafter_named(drafter, target, settings)
    calls = run(target, made, DecodeSettings(4, 6, sampling=SamplingSettings(0.0)))
    assert len(emitted(calls)) == 6


@pytest.mark.parametrize("kind", ["deterministic", "with_replacement", "without_replacement", "race"])
@pytest.mark.parametrize("tree", [None, "batch"])
def test_end_of_text_ids_outside_the_vocabulary_are_nobodys(kind, tree):
    """Some configs name such ids; drafts leave end-of-text tokens out by their index."""
    target = target_of()
    target.end_of_text = frozenset({VOCABULARY, 128009, -1})
    assert target.end_of_text == frozenset()
    settings = DrafterSettings(tree=tree if kind == "with_replacement" else None, kind=kind, layers=2)
    made = drafter_named("layer_skip", target, settings)
    rule = next(rule for rule in RULES.values() if kind in rule.draft_kinds and rule.name != "greedy")
    calls = list(decode(target, made, rule, PROMPT, DecodeSettings(4, 12)))
    assert any(len(call.tree) > 1 for call in calls)
