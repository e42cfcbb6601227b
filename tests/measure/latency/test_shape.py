"""A shape gives a model of its sizes; a part of its layers gives the time of all by a straight line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import speclight.measure.latency.run as run_module
import speclight.measure.latency.shape as shape_module
from speclight.errors import InvalidInput, ModelNotFound
from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.run import run_shape_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.latency.shape import MEMORY_SHARE, free_bytes, shaped_target

SETTINGS = LatencySettings((1, 4), (3, 6), rounds=3, warm_up=1)
CONFIG = {
    "model_type": "llama",
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 10,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LAYER = 2 * 64 + 2 * 32 + 3 * 96 + 2 * 8  # weights
REST = 2 * 11 * 8 + 8


def config(folder, **changed):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | changed))
    return folder


@pytest.fixture(autouse=True)
def ceilings(monkeypatch):
    monkeypatch.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
    monkeypatch.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_layers_are_made_where_they_fit(tmp_path, dtype):
    shape = shaped_target(config(tmp_path / "llama"), dtype=dtype)
    assert (shape.shallow, shape.model.layers, shape.outline.layers) == (None, 10, 10)
    assert shape.model.name == "llama (random weights)"
    assert str(shape.model.model.dtype) == f"torch.{dtype}"
    weights = list(shape.model.model.parameters())
    assert sum(weight.numel() for weight in weights) == 10 * LAYER + REST
    assert all(torch.isfinite(weight).all() and weight.abs().sum() > 0 for weight in weights)
    assert call_work(shape.outline) == call_work(shape.model)


def test_tied_matrices_stay_one(tmp_path):
    model = shaped_target(config(tmp_path, tie_word_embeddings=True)).model.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_as_many_layers_are_made_as_memory_holds(tmp_path):
    enough_for_five = int(4 * (5 * LAYER + REST) / MEMORY_SHARE) + 1
    shape = shaped_target(config(tmp_path), memory=enough_for_five)
    assert (shape.model.layers, shape.shallow.layers) == (5, 2)
    assert shaped_target(config(tmp_path), dtype="bfloat16", memory=enough_for_five).model.layers == 10
    assert shaped_target(config(tmp_path), most_layers=4).model.layers == 4
    with pytest.raises(InvalidInput, match="got room for 1 of the 10 layers"):
        shaped_target(config(tmp_path), memory=int(4 * (1.5 * LAYER + REST) / MEMORY_SHARE))


def test_the_time_of_all_layers_is_on_the_straight_line(tmp_path, monkeypatch):
    shape = shaped_target(config(tmp_path / "shape"), most_layers=4)
    now = [0.0]
    for model in (shape.model, shape.shallow):
        forward = model.forward

        def timed(cache, tokens, *rest, layers=model.layers, forward=forward, **named):
            now[0] += 0.5 + layers * (1.0 + 0.25 * tokens.shape[-1])
            return forward(cache, tokens, *rest, **named)

        monkeypatch.setattr(model, "forward", timed)
    record = run_shape_latency(shape, SETTINGS, tmp_path / "out", lambda: now[0])
    assert (record.layers, record.layers_measured) == (10, (2, 4))
    expected = [[0.5 + 10 * (1.0 + 0.25 * nodes) for nodes in (1, 4)]] * 2
    np.testing.assert_allclose(record.curve.medians, expected)
    assert record.work.full_layers == 10


def test_more_layers_are_never_taken_to_be_faster(tmp_path, monkeypatch):
    shape = shaped_target(config(tmp_path / "shape"), most_layers=4)
    now = [0.0]
    for model in (shape.model, shape.shallow):
        forward = model.forward

        def timed(cache, *rest, layers=model.layers, forward=forward, **named):
            now[0] += 5.0 - layers
            return forward(cache, *rest, **named)

        monkeypatch.setattr(model, "forward", timed)
    record = run_shape_latency(shape, SETTINGS, tmp_path / "out", lambda: now[0])
    assert (record.curve.medians == 1.0).all()


def test_a_whole_shape_is_timed_as_it_is(tmp_path):
    record = run_shape_latency(shaped_target(config(tmp_path / "shape")), SETTINGS, tmp_path / "out")
    assert (record.layers, record.layers_measured) == (10, (10,))
    assert record.plan["target"] == "shape (random weights)"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model_type": "mixtral", "num_local_experts": 4}, "mixture of experts"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised weights"),
        ({"model_type": "no-such-model"}, "that this version of Transformers knows"),
        ({"model_type": "vit"}, "no causal language model"),
    ],
)
def test_shapes_that_cannot_be_timed_are_refused(tmp_path, changed, told):
    with pytest.raises(InvalidInput, match=told):
        shaped_target(config(tmp_path, **changed))


def test_a_shape_that_is_not_there(tmp_path):
    with pytest.raises(ModelNotFound, match=r"expected a config.json or the folder"):
        shaped_target(tmp_path / "nothing")


def test_free_memory_is_less_than_all_of_it(monkeypatch, tmp_path):
    assert 2**20 < free_bytes("cpu")
    monkeypatch.setattr(shape_module, "Path", lambda _: tmp_path / "no-meminfo")
    assert free_bytes("cpu") > 2**20
