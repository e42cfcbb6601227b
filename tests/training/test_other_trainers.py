"""Medusa heads and small models: trained on a toy's texts, written, loaded, and used to decode."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.generate import generate_from_ids
from speclight.drafting.drafter_choices import Plain
from speclight.drafting.drafter_names import drafter_named
from speclight.drafting.drafters import new_drafter
from speclight.drafting.medusa.loading import load_medusa_heads
from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.training import small_model_trainer
from speclight.training.head_trainer import HeadTraining
from speclight.training.medusa_trainer import MedusaTraining
from speclight.training.shards import write_shard
from speclight.training.small_model_trainer import (
    SmallModelTraining,
    kept_layers,
    pruned_model,
)
from speclight.training.text_batches import text_batch
from speclight.training.training_loop import measured_texts, train
from speclight.training.training_settings import TrainingSettings
from speclight.verification.rules import rule_named
from toy_texts import chatting, toy_texts
from toys import as_target, tiny_llama

VOCABULARY = 12
SETTINGS = TrainingSettings(
    training_tokens=4000,
    draft_vocabulary=9,
    small_layers=1,
    batch_tokens=200,
    learning_rate=3e-3,
    half_precision=False,
)
KINDS = {
    "medusa": MedusaTraining,
    "model": SmallModelTraining,
}


@pytest.fixture(scope="module")
def target():
    toy = as_target(tiny_llama(VOCABULARY))
    toy.model.float()
    return chatting(toy)


@pytest.fixture(scope="module")
def folder(target, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    write_shard(path / "shard-0000-00000.safetensors", toy_texts(target, (1,), texts=64))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_drafter_decodes_losslessly(target, folder, tmp_path, kind):
    training = KINDS[kind].begun(target, folder, SETTINGS)
    before = training.measured(measured_texts(folder))
    after = train(training, folder, lambda: False, lambda progress: None)
    assert all(new < old for new, old in zip(after.cross_entropies, before.cross_entropies, strict=True))
    training.save(tmp_path / "checkpoint.pt")
    again = KINDS[kind].resumed(target, tmp_path / "checkpoint.pt", SETTINGS)
    assert again.measured(measured_texts(folder)) == after
    training.write(tmp_path / "drafter", target)
    settings = DecodeSettings(node_budget=5, max_tokens=24, sampling=SamplingSettings(0.0))
    rule = rule_named("target_sample")
    plain = generate_from_ids(target, [1, 2, 5], new_drafter(Plain(), target), rule, settings)
    drafter = new_drafter(drafter_named(kind, str(tmp_path / "drafter")), target)
    drafted = generate_from_ids(target, [1, 2, 5], drafter, rule, settings)
    assert drafted.token_ids == plain.token_ids
    assert drafted.tokens_per_call > 1.0


def test_written_medusa_heads_are_the_trained_ones(target, folder, tmp_path):
    training = MedusaTraining.begun(target, folder, SETTINGS)
    next(itertools.islice(training.run(folder, 4000), 3, None))
    training.write(tmp_path, target)
    heads = load_medusa_heads(tmp_path, target)
    state = measured_texts(folder)[0].last_states[7]
    np.testing.assert_array_equal(heads.target_ids, training.target_ids)
    with torch.no_grad():
        for index, head in enumerate(heads.heads):
            # Written in float16.
            np.testing.assert_allclose(
                head.logits(state), training.heads.logits(index, state), rtol=0, atol=0.05
            )


def test_medusa_heads_look_as_far_ahead_as_they_draft(target, folder):
    """Head d at position p is asked for the law that the target has d + 1 tokens after its state decides."""
    training = MedusaTraining.begun(target, folder, SETTINGS)
    text = measured_texts(folder)[0]
    batch = text_batch([text], 0.0)
    for head, step in enumerate(training._steps(batch)):
        first = text.answer_from - 2  # the first position with a weight
        start = max(first - (head + 1), 0)
        expected = torch.softmax(text.last_states[start + head + 2] @ training.output_rows.T, -1)
        torch.testing.assert_close(step.laws[0], expected)
        torch.testing.assert_close(step.logits[0], training.heads.logits(head, text.last_states[start + 1]))


def test_sampled_tokens_stand_for_all_others(target, folder, monkeypatch):
    """Normalisers over the draft vocabulary and a sample are unbiased: false alarm 6e-7 (5 standard errors),
    and an offset left out would be off by 38 of them."""
    monkeypatch.setattr(small_model_trainer, "SAMPLED_OTHERS", 2)
    training = SmallModelTraining.begun(target, folder, dataclasses.replace(SETTINGS, draft_vocabulary=4))
    logits = measured_texts(folder)[0].last_states[7] @ training.output.T
    totals = []
    for update in range(400):
        training.updates = update
        columns, offsets = training._columns()
        assert len(set(columns.tolist())) == len(columns) == 6
        totals.append(float(torch.exp(logits[columns] + offsets).sum()))
    standard_error = np.std(totals) / len(totals) ** 0.5
    assert abs(np.mean(totals) - float(torch.exp(logits).sum())) < 5 * standard_error
    with torch.no_grad():
        columns, offsets = training._columns()
    assert columns.tolist() == list(range(VOCABULARY))
    assert float(offsets) == 0.0


def test_a_small_model_keeps_both_ends_of_the_target(target):
    assert kept_layers(30, 4) == (0, 1, 28, 29)
    assert kept_layers(30, 3) == (0, 1, 29)
    pruned = pruned_model(target, 1).state_dict()
    whole = target.model.state_dict()
    assert len(pruned) < len(whole)
    for name, weight in pruned.items():
        torch.testing.assert_close(weight, whole[name], rtol=0, atol=0)
    with pytest.raises(InvalidInput, match="expected 1 to 1"):
        pruned_model(target, 2)


def test_a_checkpoint_of_another_kind_is_refused(target, folder, tmp_path):
    MedusaTraining.begun(target, folder, SETTINGS).save(tmp_path / "checkpoint.pt")
    for other in (HeadTraining, SmallModelTraining):
        with pytest.raises(CorruptWeights, match="delete it"):
            other.resumed(target, tmp_path / "checkpoint.pt", SETTINGS)
