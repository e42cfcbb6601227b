"""Layers streamed in at every call give the logits of layers in memory; only the time differs.

Offloading to the host's memory needs an accelerator: here its device map and its refusal on a CPU are tested.
"""

import os

import numpy as np
import pytest
import torch
from transformers import AutoConfig

import speclight
import speclight.models.offload as offload_module
from speclight.cli.options import TargetOptions, check_target
from speclight.drafting.drafters import law_source
from speclight.drafting.layer_skip import early_exit
from speclight.drafting.model_law import ModelLaw
from speclight.errors import InvalidInput
from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.ceilings import stream_bytes_per_second
from speclight.measure.plan import run_plan
from speclight.models import few_rows
from speclight.models.layer_stack import layer_stack
from speclight.models.load import load
from speclight.models.offload import check_offload, device_map, offloaded_files
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from toys import tiny_llama, word_tokenizer

TEXT = [0, 1, 2, 1]


@pytest.fixture
def folder(tmp_path):
    model = tiny_llama(vocabulary_size=5, layers=3)
    model.save_pretrained(tmp_path)
    word_tokenizer(5).save_pretrained(tmp_path)
    return tmp_path


def scores(target):
    tree = DraftTree(np.array([TEXT[-1], 0, 2, 1]), np.array([-1, 0, 0, 2]), np.zeros(4))
    return ScoredText(target, TEXT).score(tree)


def test_streamed_layers_give_the_logits_of_those_in_memory(folder):
    kept = load(folder, kernels="eager")
    streamed = load(folder, offload="disk", kernels="eager")
    assert (streamed.kernels, streamed.loaded.offload, streamed.device) == ("eager", "disk", kept.device)
    for _ in range(2):
        torch.testing.assert_close(scores(streamed), scores(kept), rtol=0.0, atol=0.0)
    layers = layer_stack(streamed.model, 3)
    assert all(weight.is_meta for weight in layers.parameters())  # between calls nothing of them is held
    assert not any(
        weight.is_meta for name, weight in streamed.model.named_parameters() if "layers" not in name
    )


def test_products_of_streamed_layers_are_those_for_few_rows(folder):
    kept = load(folder, kernels="eager", dtype="float64")
    streamed = load(folder, offload="disk", kernels="fast", dtype="float64")
    assert streamed.kernels == "fast"
    rows: list[int] = []
    for layer in streamed.model.modules():
        if isinstance(layer, few_rows.FewRowsLinear):
            layer.products = lambda *given: rows.append(len(given[0])) or few_rows.exchanged_products(*given)
    found = scores(streamed)
    assert len(rows) >= 2 * 7 * 3  # for the text and for the tree, seven products a layer
    torch.testing.assert_close(found, scores(kept), rtol=1e-12, atol=1e-12)  # sums in another order


@pytest.mark.parametrize("drafter", [speclight.NGram(), speclight.LayerSkip(2)])
def test_decoding_is_what_it_is_in_memory(folder, drafter):
    texts = [
        speclight.generate(
            load(folder, kernels="eager", offload=offload),
            "t1 t2",
            drafter=drafter,
            max_tokens=12,
            temperature=0.0,
            node_budget=4,
        )
        for offload in (None, "disk")
    ]
    assert texts[0].token_ids == texts[1].token_ids
    assert len(texts[0].token_ids) == 12


@pytest.mark.slow
@pytest.mark.model
def test_the_default_target_decodes_alike_with_its_head():
    """Its output matrix is tied to the embedding, which the head reads as well: both stay in memory."""
    made = [
        speclight.generate(
            load(kernels="eager", offload=offload),
            "Explain tides.",
            drafter="eagle3",
            max_tokens=8,
            temperature=0.0,
            node_budget=8,
        )
        for offload in (None, "disk")
    ]
    assert made[0].token_ids == made[1].token_ids
    assert [call.tokens_emitted for call in made[0].calls] == [call.tokens_emitted for call in made[1].calls]


def test_an_early_exit_streams_its_layers_too(folder):
    kept, streamed = (early_exit(load(folder, kernels="eager", offload=o), 2) for o in (None, "disk"))
    torch.testing.assert_close(scores(streamed), scores(kept), rtol=0.0, atol=0.0)


def test_every_pass_reads_the_files_again(folder, monkeypatch):
    target = load(folder, offload="disk")
    text, advised = ScoredText(target, TEXT), []
    monkeypatch.setattr(os, "posix_fadvise", lambda descriptor, *rest: advised.append(rest))
    tree = DraftTree(np.array([TEXT[-1]]), np.array([-1]), np.zeros(1))
    text.score(tree)
    assert advised == [(0, 0, os.POSIX_FADV_DONTNEED)]
    text.continue_with(TEXT)
    monkeypatch.delattr(os, "posix_fadvise")  # a system that takes no such advice
    text.score(tree)


def test_what_is_streamed_is_counted(folder):
    streamed, kept = load(folder, offload="disk"), load(folder)
    layers = sum(weight.numel() * 4 for weight in layer_stack(kept.model, 3).parameters())
    assert call_work(streamed).streamed_bytes == layers
    assert call_work(streamed).weight_bytes == call_work(kept).weight_bytes
    assert [file.name for file in offloaded_files(streamed.model)] == ["model.safetensors"]
    ticks = iter(range(100))
    assert stream_bytes_per_second(streamed, lambda: float(next(ticks))) == sum(
        file.stat().st_size for file in folder.glob("*.safetensors")
    )
    assert stream_bytes_per_second(kept) is None


def test_plans_name_streamed_weights_and_say_nothing_of_others(folder):
    assert run_plan("toy", load(folder, offload="disk"))["offload"] == "disk"
    assert "offload" not in run_plan("toy", load(folder))


def test_a_drafting_model_stays_in_memory_with_fast_kernels(folder):
    source = law_source(speclight.Model(str(folder)), load(folder, offload="disk"))
    assert isinstance(source, ModelLaw)
    drafting = source._scorer.model
    assert not any(weight.is_meta for weight in drafting.model.parameters())
    assert drafting.kernels == load(folder).kernels


def test_only_the_layers_go_away(folder):
    places = device_map(AutoConfig.from_pretrained(folder), "cpu", "cuda:0")
    assert places.pop("model.layers") == "cpu"
    assert set(places) == {"model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"}
    assert set(places.values()) == {"cuda:0"}


@pytest.mark.parametrize(
    ("offload", "told"), [("tape", "expected one of disk, cpu"), ("cpu", "in its memory anyway")]
)
def test_what_cannot_be_offloaded_is_told(folder, offload, told):
    with pytest.raises(InvalidInput, match=told):
        load(folder, offload=offload)


def test_accelerate_is_asked_for(monkeypatch):
    monkeypatch.setattr(offload_module, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"pip install 'speclight\[offload\]'"):
        check_offload("disk", "cpu")
    check_offload(None, "cpu")


def test_a_pickled_checkpoint_is_not_streamed(folder):
    state = load(folder).model.state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="expected safetensors to stream weights from"):
        load(folder, offload="disk")


def test_the_command_line_knows_the_words():
    with pytest.raises(InvalidInput, match="--offload 'tape', expected one of disk, cpu"):
        check_target(TargetOptions(offload="tape"))
