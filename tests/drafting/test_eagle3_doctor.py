"""The doctor on a toy head that was trained, and on the same head with one fault planted at a time.

Training the head takes most of a minute, so what needs it is slow; `tests/cli/drafters/test_doctor.py` asks
about heads that were never trained.
"""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speclight.drafting.eagle3.conventions import default_layers
from speclight.drafting.eagle3.doctor import SIGNIFICANCE, diagnose
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.saving import save_head
from speclight.drafting.eagle3.variants import other_layers, other_orders
from speclight.errors import CorruptWeights, InvalidInput
from speclight.training.head_start import blank_head
from speclight.training.head_trainer import HeadTraining
from speclight.training.shards import write_shard
from speclight.training.training_loop import train
from speclight.training.training_settings import TrainingSettings
from toy_texts import CHAT_TEMPLATE, chatting, toy_texts
from toys import as_target, tiny_llama

VOCABULARY = 16
PROMPTS = [f"t{first} t{second}" for first in range(5, 11) for second in range(7, 13)]
TOKENS = 24


@pytest.fixture(scope="module")
def target():
    """Weak layers and a sharp output: a target that a head of its size can follow."""
    model = tiny_llama(VOCABULARY, layers=8, window=128)
    for weight in model.model.layers.parameters():
        if weight.dim() > 1:
            weight.data.mul_(0.25)
    model.lm_head.weight.data.mul_(2.0)
    toy = as_target(model)
    toy.model.float()
    return chatting(toy)


@pytest.fixture(scope="module")
def good(target, tmp_path_factory):
    """A head worth the name: trained until each fault costs it much of its acceptance."""
    folder = tmp_path_factory.mktemp("texts")
    texts = toy_texts(target, default_layers(8), texts=480)
    write_shard(folder / "shard-0000-00000.safetensors", texts)
    settings = TrainingSettings(
        training_tokens=60_000,
        draft_vocabulary=13,
        batch_tokens=400,
        learning_rate=4e-3,
        half_precision=False,
    )
    training = HeadTraining.begun(target, folder, settings)
    train(training, folder, lambda: False, lambda progress: None)
    head = tmp_path_factory.mktemp("head")
    tensors = training.exported()
    # The same function with norms that differ from each other, so that exchanging them shows.
    tensors["midlayer.input_layernorm.weight"] *= 4.0
    for name in ("q_proj", "k_proj", "v_proj"):
        tensors[f"midlayer.self_attn.{name}.weight"][:, :16] /= 4.0
    save_head(head, training.network, tensors, training.target_ids, CHAT_TEMPLATE, torch.float32)
    return head


@pytest.fixture(scope="module")
def untrained(target, tmp_path_factory):
    """A head as it is before training, for what does not depend on how good it is."""
    torch.manual_seed(0)
    network = blank_head(target, 13)
    tensors = {name: weight for name, weight in network.state_dict().items() if "embed_tokens" not in name}
    folder = tmp_path_factory.mktemp("untrained")
    save_head(folder, network, tensors, torch.arange(1, 14), CHAT_TEMPLATE, torch.float32)
    return folder


def layers_off_by_one(config, tensors):
    outputs = config.pop("eagle_config")["eagle_aux_hidden_state_layer_ids"]
    config["eagle_aux_hidden_state_layer_ids"] = [layer + 2 for layer in outputs]


def layers_off_by_three(config, tensors):
    outputs = config.pop("eagle_config")["eagle_aux_hidden_state_layer_ids"]
    config["eagle_aux_hidden_state_layer_ids"] = [layer + 4 for layer in outputs]


def swapped_norms(config, tensors):
    one, other = "midlayer.input_layernorm.weight", "midlayer.hidden_norm.weight"
    tensors[one], tensors[other] = tensors[other], tensors[one]


def transposed_blocks(config, tensors):
    first, second, third = tensors["fc.weight"].chunk(3, dim=1)
    tensors["fc.weight"] = torch.cat([third, second, first], dim=1).contiguous()


def wrong_embedding(config, tensors):
    tensors["embed_tokens.weight"] = torch.randn(VOCABULARY, 16, generator=torch.Generator().manual_seed(1))


def planted(good, folder, fault):
    config = json.loads((good / "config.json").read_text())
    tensors = load_file(good / "model.safetensors")
    fault(config, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.slow
def test_the_good_head_has_no_fault(target, good):
    """False alarm SIGNIFICANCE over all readings together; the texts' seed is fixed."""
    diagnosis = diagnose(load_head(good, target), target, PROMPTS, TOKENS)
    assert f"no fault found: none of {len(diagnosis.findings)} other readings" in diagnosis.verdict
    assert not diagnosis.has_fault
    assert not any(finding.is_better for finding in diagnosis.findings)
    assert diagnosis.template_differs is False
    assert 0.0 < diagnosis.miss_probability < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (layers_off_by_one, "layers (2, 4, 5)"),
        (swapped_norms, "exchanged"),
        # All six on the shipped head: `speclight experiment doctor-faults`.
        (layers_off_by_three, "layers (2, 4, 5)"),
        (transposed_blocks, "fc blocks for layers 5, 4, 2"),
        (wrong_embedding, "the target's embedding"),
    ],
)
def test_planted_faults_are_found(target, good, tmp_path, fault, words):
    diagnosis = diagnose(load_head(planted(good, tmp_path, fault), target), target, PROMPTS, TOKENS)
    assert "wrong convention" in diagnosis.verdict
    assert diagnosis.has_fault
    assert words in diagnosis.verdict
    best = next(finding for finding in diagnosis.findings if finding.is_better)
    assert best.p_value < SIGNIFICANCE
    assert best.acceptance > diagnosis.acceptance


def test_ids_in_place_of_offsets_are_named_on_loading(target, untrained, tmp_path):
    def fault(config, tensors):
        tensors["d2t"] += torch.arange(len(tensors["d2t"]))

    with pytest.raises(CorruptWeights, match="subtract each row's number"):
        load_head(planted(untrained, tmp_path, fault), target)


@pytest.mark.slow
def test_another_chat_template_is_found(target, good):
    head = load_head(good, target)
    target.tokenizer.chat_template = "t9 t9 t9 {{ messages[0]['content'] }} t0 t0 t0"
    try:
        diagnosis = diagnose(head, target, PROMPTS, TOKENS)
    finally:
        target.tokenizer.chat_template = CHAT_TEMPLATE
    assert diagnosis.template_differs is True
    assert "wrong chat template" in diagnosis.verdict
    # Also where the target's texts under its own template happen to be easier.
    easier = dataclasses.replace(diagnosis, template_gain=-0.04)
    assert "wrong chat template" in easier.verdict
    assert f"{diagnosis.acceptance - 0.04:.3f} under the head's" in easier.verdict


def test_the_readings_of_layer_ids():
    """Three places either way, and the standard three however they were counted."""
    assert other_layers((2, 15, 27), 30) == [
        (1, 14, 26),
        (3, 16, 28),
        (0, 13, 25),
        (4, 17, 29),
        (5, 18, 30),
    ]
    assert {(2, 15, 27), (1, 14, 26), (3, 16, 28)} <= set(other_layers((10, 20, 30), 30))
    assert other_layers((31,), 30) == [(30,), (29,), (28,)]


def test_the_readings_of_block_orders():
    assert len(other_orders(3)) == 5
    assert other_orders(1) == []
    assert len(other_orders(5)) == 10


def test_too_few_prompts_are_refused(target, untrained):
    with pytest.raises(InvalidInput, match="at least 6"):
        diagnose(load_head(untrained, target), target, PROMPTS[:5], TOKENS)


def test_readings_leave_the_head_as_it_was(target, untrained):
    head = load_head(untrained, target)
    before = {name: weight.clone() for name, weight in head.network.state_dict().items()}
    conventions = head.network.conventions
    diagnose(head, target, PROMPTS[:6], 8)
    assert head.network.conventions == conventions
    for name, weight in head.network.state_dict().items():
        np.testing.assert_array_equal(weight, before[name])
