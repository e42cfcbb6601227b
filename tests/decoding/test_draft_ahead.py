"""Drafting while the target scores: the same trees, texts and calls as without; threads and failures."""

import threading
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest

from cases import thinned
from speclight.decoding import drafting_beside
from speclight.decoding.decode import DecodeRequest, DecodeSettings, decode, decode_batch
from speclight.decoding.losslessness import Setup, loop_test
from speclight.decoding.string_law import StringLaw
from speclight.drafting import reading_ahead
from speclight.drafting.drafter_choices import LayerSkip, Lookahead, Model, NGram, Plain, TwoStage
from speclight.drafting.drafters import new_drafter
from speclight.drafting.guarded import DraftingFailed
from speclight.drafting.tree_choices import BestFirst, Chain
from speclight.errors import InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.verification.rule import default_kind
from speclight.verification.rules import RULES
from toys import tiny_target

PROMPT = [0, 1, 2, 0, 1]
# Laws of a path come from passes of other shapes, in float64.
LOG_PROB_ATOL = 1e-9


class AtOnce:
    """In place of the thread: all that can be worked out ahead is, before the target's pass begins."""

    def __init__(self, **_):
        pass

    def submit(self, work, *args):
        done = drafting_beside.Future()
        work(*args)
        done.set_result(None)
        return done

    def shutdown(self):
        pass


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(drafting_beside, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(reading_ahead, "NODES_BEYOND", 20)  # or tests take long


def toy(seed=2):
    return tiny_target(6, seed, window=256)


def choice_of(name, target):
    model = Model(target)  # the target itself: most of it is accepted
    return {"layer_skip": LayerSkip(1), "model": model, "two_stage": TwoStage(LayerSkip(1))}[name]


def calls_of(target, choice, rule, tree, settings, **changes):
    drafter = new_drafter(choice, target, tree, settings.sampling)
    return list(decode(target, drafter, RULES[rule], PROMPT, replace(settings, **changes)))


def assert_same_calls(these, those):
    assert len(these) == len(those)
    for one, other in zip(these, those, strict=True):
        np.testing.assert_array_equal(one.tree.tokens, other.tree.tokens)
        np.testing.assert_array_equal(one.tree.parents, other.tree.parents)
        np.testing.assert_allclose(one.tree.log_probs, other.tree.log_probs, rtol=0, atol=LOG_PROB_ATOL)
        np.testing.assert_array_equal(one.path, other.path)
        assert one.emitted_tokens == other.emitted_tokens
        assert one.finish_reason == other.finish_reason


# Every drafter and either temperature in every run; the other pairs in the slow one.
PAIRS = [("model", 1.0), ("layer_skip", 0.0), ("two_stage", 1.0)]
OTHER_PAIRS = [("model", 0.0), ("layer_skip", 1.0), ("two_stage", 0.0)]


@pytest.mark.parametrize(("drafter", "temperature"), thinned([*PAIRS, *OTHER_PAIRS], len(PAIRS)))
def test_the_calls_are_those_without_it(at_once, drafter, temperature):
    target = toy()
    settings = DecodeSettings(6, 20, seed=1, sampling=SamplingSettings(temperature))
    choice = choice_of(drafter, target)
    plain = calls_of(target, choice, "target_sample", BestFirst(), settings)
    ahead = calls_of(target, choice, "target_sample", BestFirst(), settings, draft_ahead=True)
    assert_same_calls(ahead, plain)
    used = sum(call.drafted_ahead.used for call in ahead if call.drafted_ahead is not None)
    saved = sum(call.draft_cost.calls for call in plain) - sum(call.draft_cost.calls for call in ahead)
    assert used > 0
    assert saved > 0
    assert all(call.drafted_ahead is None and call.ahead_seconds == 0.0 for call in plain)


@pytest.mark.parametrize("rule", thinned(["rejection", "traversal", "race", "block"]))
def test_sampled_drafts_are_the_same_too(at_once, rule):
    """What is worked out ahead are laws, so the noise of drafts is drawn in its order."""
    target = toy()
    tree = Chain(kind=default_kind(RULES[rule]))
    settings = DecodeSettings(5, 20, seed=4)
    plain = calls_of(target, LayerSkip(1), rule, tree, settings)
    ahead = calls_of(target, LayerSkip(1), rule, tree, settings, draft_ahead=True)
    assert_same_calls(ahead, plain)
    assert sum(call.drafted_ahead.used for call in ahead if call.drafted_ahead is not None) > 0


def test_a_drafter_that_is_the_target_need_not_be_waited_for(at_once):
    """Greedy chains of a drafter that is always right: all of each next draft has been worked out."""
    target = toy()
    settings = DecodeSettings(4, 32, sampling=SamplingSettings(0.0))
    calls = calls_of(target, Model(target), "greedy", Chain(), settings, draft_ahead=True)
    assert all(len(call.path) == len(call.tree) for call in calls[:-1])
    assert calls[0].draft_cost.expanded_nodes == 3
    assert [call.draft_cost.expanded_nodes for call in calls[1:]] == [0] * (len(calls) - 1)
    assert {call.drafted_ahead.used for call in calls[1:-1]} == {3}


def test_with_the_thread_the_text_is_the_same_and_the_thread_ends():
    target = toy()
    settings = DecodeSettings(6, 16, seed=1)
    plain = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings)
    for _ in range(2):
        ahead = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings, draft_ahead=True)
        assert_same_calls(ahead, plain)
        assert not threads_left()
    begun = decode(
        target,
        new_drafter(LayerSkip(1), target),
        RULES["target_sample"],
        PROMPT,
        DecodeSettings(6, 60, draft_ahead=True),
    )
    assert isinstance(begun, Generator)
    next(begun)
    assert len(threads_left()) == 1
    begun.close()
    assert not threads_left()


def threads_left():
    return [thread for thread in threading.enumerate() if thread.name.startswith("draft-ahead")]


def test_texts_of_a_batch_take_turns(at_once):
    target = toy()
    prompts = [PROMPT, [3, 4], [5, 5, 1]]

    def texts(draft_ahead):
        requests = [
            DecodeRequest(
                ids, new_drafter(LayerSkip(1), target), DecodeSettings(6, 10, draft_ahead=draft_ahead)
            )
            for ids in prompts
        ]
        calls = list(decode_batch(target, RULES["target_sample"], requests, 2))
        return {n: [call for call in calls if call.text_number == n] for n in range(3)}

    plain, ahead = texts(False), texts(True)
    for number in range(3):
        assert_same_calls(ahead[number], plain[number])
        assert any(call.drafted_ahead is not None for call in ahead[number])


def test_with_auto_the_text_is_plain_decodings(at_once):
    target = toy()
    settings = DecodeSettings("auto", 24, seed=3)
    plain = calls_of(target, Plain(), "target_sample", BestFirst(), settings)
    ahead = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings, draft_ahead=True)
    tokens = [[token for call in calls for token in call.emitted_tokens] for calls in (plain, ahead)]
    assert tokens[0] == tokens[1]


def test_to_the_window_s_end(at_once):
    target = tiny_target(6, 2, window=24)
    settings = DecodeSettings(6, 100, seed=1)
    plain = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings)
    ahead = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings, draft_ahead=True)
    assert plain[-1].finish_reason == "context_window"
    assert_same_calls(ahead, plain)


@pytest.mark.parametrize("choice", [Plain(), NGram(), Lookahead()])
def test_drafters_that_cannot_are_refused(choice):
    target = tiny_target(6)
    with pytest.raises(InvalidInput, match=r"draft_ahead with the drafter .*expected one"):
        calls_of(target, choice, "target_sample", BestFirst(), DecodeSettings(4, 8, draft_ahead=True))


class Failing:
    """A drafter that fails when it is to draft ahead, with an error of the given kind."""

    def __init__(self, inner, error):
        self.inner, self.error, self.name, self.hidden_layers = inner, error, "failing", ()
        self.drafts_ahead = True
        self.begin, self.extend, self.propose = inner.begin, inner.extend, inner.propose

    def draft_ahead(self):
        raise self.error


class OwnInvention(Exception):
    """Nothing that a computation raises."""


@pytest.mark.filterwarnings("default::speclight.drafting.guarded.DraftingFailed")
def test_a_failure_costs_speed_and_is_told():
    target = toy()
    settings = DecodeSettings(6, 20, seed=1)
    plain = calls_of(target, LayerSkip(1), "target_sample", BestFirst(), settings)
    drafter = Failing(new_drafter(LayerSkip(1), target), RuntimeError("no memory"))
    with pytest.warns(DraftingFailed, match=r"could not draft ahead.*no memory"):
        ahead = list(
            decode(
                target, drafter, RULES["target_sample"], PROMPT, DecodeSettings(6, 20, 1, draft_ahead=True)
            )
        )
    assert_same_calls(ahead, plain)


def test_an_exception_of_the_drafter_s_own_surfaces_in_the_loop():
    target = toy()
    drafter = Failing(new_drafter(LayerSkip(1), target), OwnInvention("stop"))
    settings = DecodeSettings(6, 20, draft_ahead=True)
    with pytest.raises(OwnInvention):
        list(decode(target, drafter, RULES["target_sample"], PROMPT, settings))
    assert not threads_left()


@pytest.mark.slow
def test_strings_follow_the_target_s_law():
    """400 strings: a total variation of `detectable` is found with probability 0.99, false alarm 1e-4."""
    target = toy()
    setup = Setup(LayerSkip(1), BestFirst(), RULES["target_sample"], 6, draft_ahead=True)
    assert loop_test(target, setup, PROMPT, StringLaw(target, PROMPT, 1.0), 400).strings.is_passed
