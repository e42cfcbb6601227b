"""Bytes and operations of a call against a model counted by hand, and ceilings against a clock of our own."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.ceilings import REPEATS, flops_per_second, memory_bytes_per_second
from speclight.measure.latency.roofline import CallWork, Ceilings
from toys import as_target

SIZES = {
    "vocab_size": 7,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
# Queries and outputs 8 x 8, keys and values 8 x 4, gate, up and down 8 x 12; two norms a layer, a last one.
MATRICES = 3 * (2 * 64 + 2 * 32 + 3 * 96)
NORMS = 3 * 2 * 8 + 8
FLOAT64 = 8


@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_counted_once_and_looked_up_rows_not_at_all(tied):
    work = call_work(as_target(LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied))))
    assert work.weight_bytes == FLOAT64 * (MATRICES + NORMS + 7 * 8)
    assert work.node_flops == 2 * (MATRICES + 7 * 8)
    assert work.streamed_bytes == 0
    assert work.kv_bytes == 2 * 2 * 2 * FLOAT64  # keys and values of two heads of size 2
    assert work.attention_flops == 4 * 4 * 2
    assert (work.full_layers, work.sliding_layers) == (3, 0)


@pytest.mark.model
def test_weights_in_codes_are_read_as_such(default_target):
    """Of Q4_1 four bits a weight, of Q8_0 eight, and two or one float32 for each block of 32."""
    vectors = sum(weight.numel() for weight in default_target.model.parameters() if weight.dim() == 1)
    four, eight = 106_168_320, 28_311_552
    codes_and_scales = four // 2 + 2 * 4 * four // 32 + eight + 4 * eight // 32
    assert call_work(default_target).weight_bytes == codes_and_scales + 4 * vectors


def test_layers_with_a_window_read_no_more_than_it():
    work = call_work(as_target(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=5))))
    assert (work.full_layers, work.sliding_layers, work.window) == (0, 3, 5)
    assert work.bytes_read(4) == work.weight_bytes + 3 * 4 * work.kv_bytes
    assert work.bytes_read(50) == work.weight_bytes + 3 * 5 * work.kv_bytes


def test_a_mixture_of_experts_has_no_roofline():
    config = MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)
    assert call_work(as_target(MixtralForCausalLM(config))) is None


def test_the_roofline_is_the_slower_of_moving_and_multiplying():
    work = CallWork(
        weight_bytes=1000,
        streamed_bytes=600,
        node_flops=50.0,
        kv_bytes=2,
        attention_flops=1.0,
        full_layers=5,
    )
    ceilings = Ceilings(memory_bytes_per_second=100.0, flops_per_second=10.0)
    assert ceilings.least_seconds(work, 1, 0) == 10.0  # 1000 bytes
    assert ceilings.least_seconds(work, 4, 0) == 20.0  # 200 operations
    assert ceilings.least_seconds(work, 1, 20) == 15.0  # 150 operations; 1200 bytes take 12
    assert ceilings.least_seconds(work, 1, 20, batch_size=3) == 45.0
    assert ceilings.ridge(work, 0) == 2.0
    assert Ceilings(100.0, 10.0, 20.0).least_seconds(work, 1, 0) == 30.0  # 600 bytes are streamed


class StepClock:
    """Every reading is so many seconds after the one before, in turn."""

    def __init__(self, *steps):
        self.now, self.steps, self.readings = 0.0, steps, 0

    def __call__(self):
        self.now += self.steps[self.readings % len(self.steps)]
        self.readings += 1
        return self.now


def test_ceilings_are_the_best_that_was_seen():
    cpu = torch.device("cpu")
    slow_first = StepClock(0.0, 4.0, *([0.0, 2.0] * (REPEATS - 1)))
    assert flops_per_second(cpu, torch.float32, size=10, clock=slow_first) == 2 * 10**3 / 2.0
    rows = 3
    clock = StepClock(0.0, 0.5)
    found = memory_bytes_per_second(cpu, torch.float32, buffer_bytes=rows * 4096 * 4, clock=clock)
    assert found == rows * 4096 * 4 / 0.5
