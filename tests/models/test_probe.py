"""A window that only the model's code knows is found by trying; sound models pass, none is changed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, LlamaForCausalLM

import speclight
from decoding.test_architectures import EAGER_ONLY, MODELS
from speclight.errors import InvalidInput
from speclight.models import attention_layout, load, probe
from toys import tiny_llama, word_tokenizer

WINDOW = 24  # of the model's own, in its code


@pytest.fixture(autouse=True)
def nothing_tried(monkeypatch):
    monkeypatch.setattr(probe, "_passed", set())


def gpt_neo(window, longest=400):
    torch.manual_seed(0)
    kinds = [[["global", "local"], 1]]
    config = GPTNeoConfig(
        vocab_size=20, hidden_size=32, num_layers=2, num_heads=4, attention_types=kinds,
        window_size=window, max_position_embeddings=longest, intermediate_size=32, eos_token_id=None,
    )  # fmt: skip
    return GPTNeoForCausalLM(config).eval()


class LlamaWithAWindow(LlamaForCausalLM):
    """Its layers drop what is further back than WINDOW slots, whatever the mask; its config is silent."""

    def forward(self, input_ids=None, attention_mask=None, past_key_values=None, **arguments):
        new, filled = input_ids.shape[1], past_key_values.get_seq_length() if past_key_values else 0
        slots = torch.arange(filled + new)
        far = slots[None] <= slots[filled:, None] - WINDOW
        lowest = torch.finfo(self.dtype).min
        if attention_mask is None or attention_mask.dim() == 2:
            later = slots[None] > slots[filled:, None]
            attention_mask = torch.zeros(1, 1, new, filled + new, dtype=self.dtype).masked_fill(later, lowest)
        attention_mask = attention_mask.masked_fill(far, lowest)
        return super().forward(
            input_ids, attention_mask=attention_mask, past_key_values=past_key_values, **arguments
        )


def wrapped(model):
    return speclight.wrap(model, word_tokenizer(model.config.vocab_size))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_window_in_the_models_code_is_refused(dtype, monkeypatch):
    with pytest.raises(InvalidInput, match="window in their own code"):
        wrapped(gpt_neo(256).to(dtype))
    # Had the config not told:
    monkeypatch.setattr(attention_layout, "_why_not", lambda model, config: None)
    for window in (16, 256):
        with pytest.raises(InvalidInput, match=r"otherwise than their branches alone \(off by"):
            wrapped(gpt_neo(window).to(dtype))
    model = LlamaWithAWindow(tiny_llama(20, window=200).config).to(dtype)
    with pytest.raises(InvalidInput, match="window"):
        wrapped(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_sound_models_pass(name, dtype):
    torch.manual_seed(1)
    model = MODELS[name]()
    if name in EAGER_ONLY:
        model.set_attn_implementation("eager")
    wrapped(model.eval().to(dtype))


def test_trying_leaves_nothing_behind():
    model = tiny_llama(20).train()
    model.model.layers[1].eval()
    torch.manual_seed(5)
    state, before = torch.random.get_rng_state(), {n: w.clone() for n, w in model.state_dict().items()}
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one, which must not move
    wrapped(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert [layer.training for layer in model.model.layers] == [True, False]


def test_a_model_is_tried_once(monkeypatch):
    tried = []
    sound = probe._after_short_texts
    monkeypatch.setattr(probe, "_after_short_texts", lambda *given: tried.append(1) or sound(*given))
    wrapped(tiny_llama(20))
    wrapped(tiny_llama(20, seed=1))
    assert len(tried) == 1
    wrapped(tiny_llama(20, layers=3))
    assert len(tried) == 2


def test_folders_are_tried_when_loaded(tmp_path: Path, monkeypatch):
    tiny_llama(20).save_pretrained(tmp_path)
    word_tokenizer(20).save_pretrained(tmp_path)
    tried = []
    monkeypatch.setattr(load, "check_tree_scores", tried.append)
    model = speclight.load(tmp_path)
    assert tried == [model]


def test_a_context_window_shorter_than_the_trial_is_no_obstacle():
    target = speclight.wrap(tiny_llama(5, seed=1, window=12), word_tokenizer(5))
    assert speclight.generate(target, "t1 t2", raw=True, max_tokens=30).finish_reason == "context_window"
