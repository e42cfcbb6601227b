"""Where texts end, what law they have under processors, and what happens when things go wrong on the way."""

import itertools

import numpy as np
import pytest
import torch

from cases import thinned
from every_outcome import law_of
from speclight.decoding.decode import decode
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids, stream
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.guarded import DraftingFailed
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.tree_choices import BestFirst
from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import Draft, DraftCost
from speclight.verification.rule import default_kind
from speclight.verification.rules import RULES
from toys import tiny_target

PROMPT = [0, 1, 2, 0]
# Texts of 3 tokens under a float64 target: the loop's law misses the chain rule's by rounding only.
EXACT_ATOL = 1e-12
GREEDY = SamplingSettings(0.0)


class Fork:
    """Drafts both tokens 0 and 1, and one more below each."""

    name, hidden_layers = "fork", ()

    def begin(self, token_ids, features):
        self.last = token_ids[-1]

    def extend(self, token_ids, features):
        self.last = token_ids[-1]

    def propose(self, node_budget, noise):
        tree = DraftTree(np.array([self.last, 0, 1, 2, 0]), np.array([-1, 0, 0, 1, 2]), np.zeros(5))
        return Draft(tree, DraftCost(0, 0))


def enumerated_law(target, settings, drafter=Fork, rule="target_sample"):
    def run(noise):
        calls = decode(target, drafter(), RULES[rule], PROMPT, settings, noise)
        return tuple(token for call in calls for token in call.emitted_tokens)

    return law_of(run)


def exact_law(target, length, process):
    """Chain rule over plain calls of the model; process: (text, logits) -> logits."""

    def step(text):
        logits = target.model(torch.tensor([text]), use_cache=False).logits[0, -1].double().detach()
        return torch.softmax(process(text, logits), dim=0).tolist()

    law = {}
    for text in itertools.product(range(target.vocabulary_size), repeat=length):
        steps = [step([*PROMPT, *text[:depth]])[text[depth]] for depth in range(length)]
        law[text] = float(np.prod(steps))
    return law


def penalised(text, logits):
    for token in set(text):
        logits[token] = logits[token] / 1.8 if logits[token] > 0 else logits[token] * 1.8
    return logits


@pytest.mark.parametrize("rule", thinned(["traversal", "rejection", "target_sample"]))
def test_a_repetition_penalty_follows_each_nodes_own_prefix(rule):
    target = tiny_target(seed=1, layers=1)
    law = enumerated_law(target, DecodeSettings(5, 3, repetition_penalty=1.8), rule=rule)
    exact = exact_law(target, 3, penalised)
    assert max(abs(law.get(text, 0.0) - exact[text]) for text in exact) < EXACT_ATOL


def test_a_processor_that_depends_on_the_whole_prefix():
    target = tiny_target(seed=1, layers=1)

    def odd_texts_repeat(input_ids, scores):
        scores[0, int(input_ids.sum()) % 3] += 1.5  # in place, as processors may
        return scores

    def same(text, logits):
        logits[sum(text) % 3] += 1.5
        return logits

    law = enumerated_law(target, DecodeSettings(5, 3, processors=(odd_texts_repeat,)))
    exact = exact_law(target, 3, same)
    assert max(abs(law[text] - exact[text]) for text in exact) < EXACT_ATOL


def test_processing_with_the_roots_prefix_is_noticed():
    """The fault this guards against: one prefix for all nodes of a tree."""
    target = tiny_target(seed=1, layers=1)

    def by_the_root(input_ids, scores):
        scores[0, len(PROMPT) % 3] += 1.5
        return scores

    def right(text, logits):
        logits[len(text) % 3] += 1.5
        return logits

    law = enumerated_law(target, DecodeSettings(5, 2, processors=(by_the_root,)))
    exact = exact_law(target, 2, right)
    assert max(abs(law[text] - exact[text]) for text in exact) > 1e-3


def text_of(settings, drafter="ngram", **toy):
    target = tiny_target(5, seed=2, layers=1, **toy)
    chosen = drafter_for(target, drafter, RULES["target_sample"], settings.sampling)
    return generate_from_ids(target, [0, 1, 2, 3, 4], chosen, RULES["target_sample"], settings)


def test_stop_strings_and_tokens_end_the_text_where_they_are_met():
    free = text_of(DecodeSettings(8, 40, seed=5))
    ids = free.token_ids
    token = ids[6]
    first = ids.index(token)
    stopped = text_of(DecodeSettings(8, 40, seed=5, stop_token_ids=frozenset({token})))
    assert stopped.token_ids == ids[: first + 1]
    assert stopped.finish_reason == "stop_token"
    pair = f"t{ids[9]} t{ids[10]}"
    place = next(n for n in range(1, 40) if free.text.split()[n - 1 : n + 1] == pair.split())
    stopped = text_of(DecodeSettings(8, 40, seed=5, stop_strings=("not in it", pair)))
    assert stopped.token_ids == ids[: place + 1]
    assert (stopped.finish_reason, free.finish_reason) == ("stop_string", "length")
    stopped = text_of(DecodeSettings(8, 40, seed=5, stop_criteria=(lambda text: len(text) == 12,)))
    assert stopped.token_ids == ids[:7]
    assert stopped.finish_reason == "stop_criterion"


def test_the_window_ends_the_text_and_never_overflows():
    for window in (6, 7, 13, 22):
        made = text_of(DecodeSettings(16, 100, sampling=GREEDY), window=window)
        assert made.finish_reason == "context_window"
        assert len(made.token_ids) == window - 5 + 1  # the last token is emitted and never read
        plain = text_of(DecodeSettings(1, 100, sampling=GREEDY), drafter="none", window=window)
        assert made.token_ids == plain.token_ids


def test_a_text_is_continued_without_reading_it_again(monkeypatch):
    target = tiny_target(5, seed=2, layers=1)
    settings = DecodeSettings(8, 10, sampling=GREEDY)
    rule = RULES["target_sample"]
    text = ScoredText(target, [0, 1, 2, 3])
    drafter = drafter_for(target, "ngram", rule, GREEDY)
    first = generate_from_ids(target, [0, 1, 2, 3], drafter, rule, settings, text=text)
    read = []
    prefill = type(target).prefill
    monkeypatch.setattr(type(target), "prefill", lambda *given: read.append(given[2]) or prefill(*given))
    prompt = [0, 1, 2, 3, *first.token_ids, 4, 3]
    again = generate_from_ids(target, prompt, drafter, rule, settings, text=text)
    assert read == [[first.token_ids[-1], 4]]
    assert again.token_ids == generate_from_ids(target, prompt, drafter, rule, settings).token_ids


class Fails(Fork):
    """Fails in every way a drafter can, one call after the other."""

    name = "fails"
    calls = 0

    def propose(self, node_budget, noise):
        self.calls += 1
        if self.calls % 4 == 1:
            raise RuntimeError("out of memory")
        if self.calls % 4 == 2:
            return Draft(DraftTree(np.array([self.last, 9]), np.array([-1, 0]), np.zeros(2)), DraftCost(0, 0))
        if self.calls % 4 == 3:
            return Draft(DraftTree(np.array([self.last, 0]), np.array([-1, 1]), np.zeros(2)), DraftCost(0, 0))
        return super().propose(node_budget, noise)


@pytest.mark.parametrize("budget", [5, 2])  # a fork of five nodes breaks a budget of two
def test_a_failing_drafter_costs_speed_and_warns_but_never_text(budget):
    target = tiny_target(seed=1, layers=1)
    settings = DecodeSettings(budget, 12, sampling=GREEDY)
    plain = generate_from_ids(target, PROMPT, NoDrafter(), RULES["target_sample"], settings)
    with pytest.warns(DraftingFailed, match="decoded plainly"):
        made = generate_from_ids(target, PROMPT, Fails(), RULES["target_sample"], settings)
    assert made.token_ids == plain.token_ids


@pytest.mark.parametrize("name", [name for name in RULES if name != "greedy"])
def test_every_rule_decodes_a_call_that_has_no_draft(name):
    """What the guard falls back to: the root alone, of no kind in particular."""
    made = generate_from_ids(
        tiny_target(seed=1, layers=1), PROMPT, NoDrafter(), RULES[name], DecodeSettings(5, 6, seed=3)
    )
    assert len(made.token_ids) == len(made.calls) == 6


def test_default_kinds_are_ones_the_rule_verifies():
    assert default_kind(RULES["target_sample"]) == "deterministic"
    assert default_kind(RULES["k_seq"]) == "with_replacement"
    assert all(default_kind(rule) in rule.draft_kinds for rule in RULES.values())


def test_nan_logits_mid_generation_are_a_clear_error():
    target = tiny_target(seed=1, layers=1)
    calls = decode(target, NoDrafter(), RULES["target_sample"], PROMPT, DecodeSettings(1, 8))
    next(calls)
    target.model.lm_head.weight.data[1] = float("nan")
    with pytest.raises(BrokenModelOutput, match="maximum nan, expected a finite number; check the weights"):
        next(calls)


def test_traces_hold_ranks_and_the_reason_of_the_end():
    target = tiny_target(5, seed=2, layers=1)
    settings = DecodeSettings(8, 40, seed=1, record_target_log_probs=True)
    drafter = drafter_for(target, "oracle", RULES["target_sample"], settings.sampling, BestFirst())
    made = generate_from_ids(target, [0, 1], drafter, RULES["target_sample"], settings)
    assert [call.finish_reason for call in made.calls[:-1]] == [None] * (len(made.calls) - 1)
    assert made.calls[-1].finish_reason == "length"
    ranks = [rank for call in made.calls for rank in call.accepted_ranks]
    assert len(ranks) >= 5
    assert ranks.count(0) > len(ranks) / 2
    for call in made.calls:  # the oracle's law is the target's
        assert call.target_log_probs is not None
        np.testing.assert_allclose(call.drafter_log_probs, call.target_log_probs, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty"),
        ({"stop_strings": ("",)}, "non-empty"),
        ({"stop_strings": "abc"}, "'abc'"),
    ],
)
def test_settings_out_of_range_are_refused(options, named):
    with pytest.raises(InvalidInput, match=named):
        DecodeSettings(**options)


def test_a_stream_is_the_text_in_pieces():
    target = tiny_target(5, seed=2, layers=1)
    settings = DecodeSettings(8, 20, seed=4)
    pieces = list(stream(target, "t0 t1 t2 t3 t4", node_budget=8, max_tokens=20, seed=4, raw=True))
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(settings).text
