"""Conversations of the target with itself: what is stored is what a plain pass over each text gives."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from speclight.errors import InvalidInput, StorageError
from speclight.training.conversations import (
    ChatFrame,
    ConversationSampler,
    ConversationSettings,
    _Row,
    chat_frame,
)
from speclight.training.sampling_run import sample_until, stored_tokens
from speclight.training.shards import read_shard, shard_paths
from toy_texts import chatting
from toys import as_target, tiny_llama

LAYERS = (0, 1)
VOCABULARY = 12
END = 4
# Float64 passes of other shapes over the same tokens; norms and rotary tables are float32 inside.
ATOL = 1e-5
# On a device the float32 parts are rounded otherwise (2.4e-5 seen on states of up to 5).
DEVICE_ATOL = 1e-4
SETTINGS = ConversationSettings(
    rows=5, shortest_request=1, longest_request=12, longest_answer=9, loop_length=3
)


def toy():
    return chatting(as_target(tiny_llama(VOCABULARY, window=128), frozenset({END})))


def sampled(count, seed=0, target=None):
    target = target or toy()
    sampler = ConversationSampler(target, LAYERS, SETTINGS, seed)
    return list(itertools.islice(sampler.conversations(), count))


@pytest.fixture(scope="module")
def texts():
    return sampled(40)


def assert_states_of_plain_passes(texts, atol):
    plain = toy()
    for text in texts:
        output = plain.model(text.tokens.long()[None], use_cache=False, output_hidden_states=True)
        expected = torch.cat([output.hidden_states[layer][0] for layer in LAYERS], dim=-1)
        np.testing.assert_allclose(text.features, expected, rtol=0, atol=atol)
        np.testing.assert_allclose(text.last_states, output.hidden_states[-1][0], rtol=0, atol=atol)


def test_states_equal_a_plain_pass_over_each_text(texts):
    """Rows of different ages share one cache and are restarted in place; none may see another's slots."""
    assert_states_of_plain_passes(texts, ATOL)


@pytest.mark.cuda
def test_states_sampled_on_a_device_equal_a_plain_pass_on_the_cpu():
    there = toy()
    there.model.to("cuda")
    there.device = there.model.device
    texts = sampled(40, target=there)
    assert {text.features.device.type for text in texts} == {"cpu"}
    assert_states_of_plain_passes(texts, DEVICE_ATOL)


def test_an_answer_loops_where_its_last_tokens_stood_twice_before():
    """Against the sentence itself, over the whole answer, at every token."""
    rng = np.random.default_rng(0)
    frame, length, looped = ChatFrame((9, 9), (8,)), 2, 0
    for _ in range(40):
        row = _Row(frame, 0.0)
        row.tokens += [7, 8]
        row.answer_from = len(row.tokens)
        for token in rng.integers(0, 3, 24).tolist():
            row.tokens.append(token)
            answer = row.tokens[row.answer_from :]
            before = [answer[start : start + length] for start in range(len(answer) - length)]
            expected = len(answer) >= 3 * length and before.count(answer[-length:]) >= 2
            assert row.has_looped(length) == expected
            looped += expected
    assert looped > 40


def test_texts_have_the_frame_and_the_limits(texts):
    frame = chat_frame(toy())
    assert (frame.before, frame.between) == ((1, 2), (3, 4))
    assert {text.temperature for text in texts} == {0.0, 1.0}
    requests = []
    for text in texts:
        tokens = tuple(text.tokens.tolist())
        assert tokens[:2] == frame.before
        assert tokens[text.answer_from - 2 : text.answer_from] == frame.between
        assert 1 <= text.answer_from - 4 <= SETTINGS.longest_request
        assert len(tokens) - text.answer_from < SETTINGS.longest_answer
        assert END not in tokens[text.answer_from :]  # the last token drawn is not read
        requests.append(tokens[2 : text.answer_from])
    assert len(set(requests)) == len(requests)


def test_greedy_answers_are_greedy(texts):
    plain = toy()
    greedy = [text for text in texts if text.temperature == 0.0]
    assert len(greedy) > 5
    for text in greedy:
        logits = plain.model(text.tokens.long()[None], use_cache=False).logits[0]
        best = logits.argmax(dim=-1)[text.answer_from - 1 : -1]
        assert best.tolist() == text.tokens[text.answer_from :].tolist()


def test_a_greedy_share_of_one_samples_no_answer():
    settings = dataclasses.replace(SETTINGS, greedy_share=1.0)
    sampler = ConversationSampler(toy(), LAYERS, settings, 0)
    assert {text.temperature for text in itertools.islice(sampler.conversations(), 8)} == {0.0}


def test_sampling_goes_on_where_it_stopped(tmp_path):
    target = toy()
    assert sample_until(target, tmp_path, LAYERS, 60, SETTINGS, 0) >= 60
    first = stored_tokens(tmp_path)
    assert sample_until(target, tmp_path, LAYERS, 60, SETTINGS, 0) == first
    seen = []
    assert sample_until(target, tmp_path, LAYERS, 120, SETTINGS, 0, lambda *step: seen.append(step[0])) >= 120
    assert seen[-1] == 120
    texts = [tuple(text.tokens.tolist()) for path in shard_paths(tmp_path) for text in read_shard(path)]
    assert sum(map(len, texts)) == stored_tokens(tmp_path)
    assert len(shard_paths(tmp_path)) == 2


def test_damage_and_models_without_a_template_are_named(tmp_path):
    (tmp_path / "shard-0000-00000.safetensors").write_bytes(b"no shard")
    with pytest.raises(StorageError, match="shard-0000-00000"):
        read_shard(shard_paths(tmp_path)[0])
    with pytest.raises(StorageError, match="shard-0000-00000"):
        stored_tokens(tmp_path)
    with pytest.raises(InvalidInput, match="chat template"):
        chat_frame(as_target(tiny_llama(VOCABULARY)))
