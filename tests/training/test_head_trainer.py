"""Training a toy head: it learns, resumes exactly, exports what it computes, and the doctor knows it."""

import itertools

import numpy as np
import pytest
import torch

from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.saving import save_head
from speclight.errors import CorruptWeights, InvalidInput
from speclight.training.head_trainer import HeadTraining
from speclight.training.replay import replay
from speclight.training.shards import write_shard
from speclight.training.training_loop import measured_texts, train
from speclight.training.training_settings import TrainingSettings
from toy_texts import toy_texts
from toys import as_target, tiny_llama

VOCABULARY, LAYERS = 12, (2, 3, 3)
SETTINGS = TrainingSettings(
    training_tokens=6000, draft_vocabulary=9, batch_tokens=200, learning_rate=3e-3, half_precision=False
)
# Float32 sums in another order, on logits of order ten.
FLOAT32_ATOL = 2e-3


@pytest.fixture(scope="module")
def target():
    model = as_target(tiny_llama(VOCABULARY, layers=6))
    model.model.float()
    return model


@pytest.fixture(scope="module")
def folder(target, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    write_shard(path / "shard-0000-00000.safetensors", toy_texts(target, LAYERS, texts=64))
    return path


def test_training_lowers_the_cross_entropy_of_every_step(target, folder):
    training = HeadTraining.begun(target, folder, SETTINGS)
    before = training.measured(measured_texts(folder))
    reports = []
    after = train(training, folder, lambda: False, reports.append)
    assert reports == [after]
    assert after.tokens >= SETTINGS.training_tokens
    assert all(new < old for new, old in zip(after.cross_entropies, before.cross_entropies, strict=True))


def test_a_resumed_run_is_the_uninterrupted_one(target, folder, tmp_path):
    whole = HeadTraining.begun(target, folder, SETTINGS)
    steps = whole.run(folder, SETTINGS.training_tokens)
    first = {name: weight.clone() for name, weight in whole.network.state_dict().items()}
    while whole.epoch < 1:  # a checkpoint at the start of an epoch: within one the order starts anew
        next(steps)
    whole.save(tmp_path / "checkpoint.pt")
    again = HeadTraining.resumed(target, tmp_path / "checkpoint.pt", SETTINGS)
    assert (again.tokens, again.epoch, again.updates) == (whole.tokens, whole.epoch, whole.updates)
    for name, weight in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], weight, rtol=0, atol=0)
    assert any(not torch.equal(first[name], weight) for name, weight in whole.network.state_dict().items())
    next(itertools.islice(again.run(folder, SETTINGS.training_tokens), 3, None))
    assert again.updates == whole.updates + 4


def test_the_exported_head_computes_what_was_trained(target, folder, tmp_path):
    training = HeadTraining.begun(target, folder, SETTINGS)
    next(itertools.islice(training.run(folder, SETTINGS.training_tokens), 5, None))
    save_head(tmp_path, training.network, training.exported(), training.target_ids, "template", torch.float32)
    head = load_head(tmp_path, target)
    assert head.chat_template == "template"
    assert head.network.conventions == training.network.conventions
    np.testing.assert_array_equal(head.target_ids, training.target_ids)
    text = measured_texts(folder)[0]
    with torch.no_grad():
        inner = training.network.fuse(text.features / training.feature_scale)
    np.testing.assert_allclose(head.network.fuse(text.features), inner, rtol=0, atol=FLOAT32_ATOL)


def test_replay_counts_what_decoding_would_emit(target, folder, tmp_path):
    """Every token of the texts is emitted once, all calls but the last of each text are counted."""
    training = HeadTraining.begun(target, folder, SETTINGS)
    save_head(tmp_path, training.network, training.exported(), training.target_ids, None, torch.float32)
    head = load_head(tmp_path, target)
    texts = measured_texts(folder)
    calls = replay(Eagle3Law("eagle3", head.network, head.target_ids), texts, 6).tokens_by_call
    answers = sum(len(text.tokens) - text.answer_from for text in texts)
    assert answers - 7 * len(texts) < calls.sum() <= answers
    assert 1.0 < calls.mean() <= 6.0


def test_bad_input_is_named(target, folder, tmp_path):
    with pytest.raises(InvalidInput, match="sample some first"):
        HeadTraining.begun(target, tmp_path, SETTINGS)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(CorruptWeights, match=r"checkpoint\.pt"):
        HeadTraining.resumed(target, tmp_path / "checkpoint.pt", SETTINGS)
    with pytest.raises(InvalidInput, match="unrolled_steps"):
        TrainingSettings(unrolled_steps=0)
