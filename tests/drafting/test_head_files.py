"""Heads that must be refused: with the reason, and without running anything they hold."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.head_files import read_head_files
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound, VocabularyMismatch
from toy_heads import TARGET_IDS, VOCABULARY, config_of, layer_section, random_state, with_maps, write_head
from toys import as_target, tiny_llama


@pytest.fixture(scope="module")
def target():
    return as_target(tiny_llama(VOCABULARY, layers=6))


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, target):
    folder = write_head(tmp_path / "head", "SafeAILab", pickled=True)
    ran = tmp_path / "ran"
    torch.save({"fc.weight": RunsCode(str(ran))}, folder / "pytorch_model.bin")
    with pytest.raises(CorruptWeights, match="nothing of it was run"):
        load_head(folder, target)
    assert not ran.exists()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(RunsCode(str(ran)), protocol=2))
    with pytest.raises(CorruptWeights):
        load_head(folder, target)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_truncated_file_is_refused(tmp_path, target, name):
    folder = write_head(tmp_path, "SpecForge", pickled=name.endswith(".bin"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptWeights, match=name):
        load_head(folder, target)


def test_float8_is_refused_by_name(tmp_path, target):
    state = with_maps(random_state())
    state["fc.weight"] = state["fc.weight"].to(torch.float8_e4m3fn)
    with pytest.raises(CorruptWeights, match=r"fc\.weight .*float8"):
        load_head(write_head(tmp_path, "SpecForge", state), target)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        read_head_files(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match="no weights"):
        read_head_files(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CorruptWeights, match="no JSON"):
        read_head_files(tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"vocab_size": 99}, VocabularyMismatch, "99 tokens"),
        ({"target_hidden_size": 32}, InvalidInput, "width 32"),
        ({"num_hidden_layers": 2}, CorruptWeights, r"layers\.1\..* is missing"),
        ({"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 2, 7]}}, InvalidInput, "0 to 6"),
        ({"fc_norm": True}, CorruptWeights, "fc_norm.0.weight is missing"),
        ({"intermediate_size": 25}, CorruptWeights, "expected"),
        ({"norm_output": "yes"}, CorruptWeights, "norm_output"),
        ({"hidden_size": None}, CorruptWeights, "hidden_size"),
    ],
)
def test_a_config_for_something_else_is_refused(tmp_path, target, changes, error, words):
    config = config_of("SpecForge", **changes)
    with pytest.raises(error, match=words):
        load_head(write_head(tmp_path, "SpecForge", config=config), target)


def test_a_head_that_is_not_eagle3_is_refused(tmp_path, target):
    state = {"model.layers.0.self_attn.q_proj.weight": torch.zeros(16, 16)}
    with pytest.raises(InvalidInput, match="expected a head of EAGLE-1, 2 or 3"):
        load_head(write_head(tmp_path, "SpecForge", state, layer_section()), target)
    config = {**config_of("speculators"), "speculators_model_type": "medusa"}
    with pytest.raises(InvalidInput, match="medusa"):
        load_head(write_head(tmp_path, "speculators", config=config), target)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("fc_norm.0.weight", "EAGLE-3.1"),
        ("mask_hidden", "P-EAGLE"),
        ("layers.1.mlp.up_proj.weight", "num_hidden_layers > 1"),
        ("verifier_norm.weight", "do not save"),
        ("strange", "unknown in the"),
    ],
)
def test_tensors_left_over_are_refused(tmp_path, target, extra, words):
    state = {**with_maps(random_state()), extra: torch.ones(16)}
    with pytest.raises(CorruptWeights, match=words):
        load_head(write_head(tmp_path, "SpecForge", state), target)


@pytest.mark.parametrize("name", ["fc.weight", "midlayer.hidden_norm.weight", "lm_head.weight", "d2t"])
def test_missing_tensors_are_named(tmp_path, target, name):
    state = with_maps(random_state())
    del state[name]
    with pytest.raises(CorruptWeights, match=name):
        load_head(write_head(tmp_path, "SpecForge", state), target)


def test_ids_in_place_of_offsets_are_found(tmp_path, target):
    state = {**with_maps(random_state()), "d2t": torch.from_numpy(TARGET_IDS)}
    with pytest.raises(CorruptWeights, match="holds the target ids themselves"):
        load_head(write_head(tmp_path, "SpecForge", state), target)
    del state["t2d"]
    with pytest.raises(CorruptWeights, match=r"ids instead of offsets|different ones"):
        load_head(write_head(tmp_path, "SpecForge", state), target)
