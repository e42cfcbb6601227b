"""Trees are scored rightly on every architecture served, through commits, roll-backs and narrow windows.

Each model is a real Transformers class with few random weights. What a tree scores must be what each of its
paths scores alone, by a plain call of the model: no cache, no mask, no positions of ours.
"""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from cases import thinned
from speclight.errors import InvalidInput
from speclight.models import causal_lm
from speclight.models.attention_masks import attention_mask_for
from speclight.models.kv_cache import PathCache
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from toys import as_target, laws_along

# Float64 weights; attention over up to 60 slots summed in another order moves a probability by less. Eager
# attention takes its softmax in float32 whatever the type, and moves laws by some 1e-7.
LAW_ATOL = {"sdpa": 1e-11, "eager": 1e-5}
VOCABULARY = 11
WINDOW = 5  # of the sliding layers: far shorter than the texts
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 80,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GROUPED: dict[str, Any] = {"intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 4}
MIXED = ["sliding_attention", "full_attention"]


def llama():
    return LlamaForCausalLM(LlamaConfig(**SIZES, **GROUPED))


def qwen2():
    sizes = {name: value for name, value in GROUPED.items() if name != "head_dim"}
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, **sizes))


def qwen2_sliding():
    sizes = {name: value for name, value in GROUPED.items() if name != "head_dim"}
    config = Qwen2Config(**SIZES, **sizes, use_sliding_window=True, sliding_window=WINDOW, layer_types=MIXED)
    return Qwen2ForCausalLM(config)


def qwen3():
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, **GROUPED))


def gemma3():
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES, **GROUPED, sliding_window=WINDOW, layer_types=MIXED, query_pre_attn_scalar=4
        )
    )


def gemma3_all_sliding():
    kinds = ["sliding_attention"] * SIZES["num_hidden_layers"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **GROUPED, sliding_window=WINDOW, layer_types=kinds))


def gpt2():
    return GPT2LMHeadModel(GPT2Config(**SIZES, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))


def gpt_neox():
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, intermediate_size=24))


def mistral():
    return MistralForCausalLM(MistralConfig(**SIZES, **GROUPED, sliding_window=WINDOW))


def gpt_oss():
    experts: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
    config = GptOssConfig(**SIZES, **GROUPED, **experts, sliding_window=WINDOW, layer_types=MIXED)
    model = GptOssForCausalLM(config)
    model.set_experts_implementation("eager")  # the grouped one takes no float64
    return model


MODELS = {
    build.__name__: build
    for build in (
        llama,
        qwen2,
        qwen2_sliding,
        qwen3,
        gemma3,
        gemma3_all_sliding,
        gpt2,
        gpt_neox,
        gpt_oss,
        mistral,
    )
}
EAGER_ONLY = ("gpt_oss",)
SLIDING = ("qwen2_sliding", "gemma3", "gemma3_all_sliding", "gpt_oss", "mistral")
SPREAD = 0.35  # standard deviation of weights: laws differ clearly between contexts


def target_of(name, implementation="sdpa"):
    torch.manual_seed(3)
    model = MODELS[name]()
    model.set_attn_implementation("eager" if name in EAGER_ONLY else implementation)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=SPREAD)
    return as_target(model)


def random_tree(rng, root, nodes):
    tokens, parents = [root], [-1]
    free = [(0, token) for token in range(VOCABULARY)]
    while len(tokens) < nodes:
        # Mostly below the newest nodes, so that branches are longer than the sliding window.
        parent, token = free.pop(-1 - int(rng.integers(min(len(free), 2 * VOCABULARY))))
        free.extend((len(tokens), child) for child in range(VOCABULARY))
        tokens.append(token)
        parents.append(parent)
    return DraftTree(np.array(tokens), np.array(parents), np.zeros(nodes))


def worst_error(target, calls=5):
    """Largest error of any law over calls with random trees, random accepted paths, a rewind in between."""
    rng = np.random.default_rng(0)
    text = ScoredText(target, rng.integers(0, VOCABULARY, size=9).tolist())
    worst = 0.0
    for call in range(calls):
        if call == 3:
            text.continue_with([*text.token_ids[:8], 1, 2])
        tree = random_tree(rng, text.token_ids[-1], 12)
        laws = torch.softmax(text.score(tree), dim=1).numpy()
        for leaf in sorted(set(range(len(tree))) - set(tree.parents.tolist())):
            path = tree.path(leaf)
            expected = laws_along(target, text.token_ids, tree.tokens[path[1:]].tolist())
            worst = max(worst, float(np.abs(laws[path] - expected).max()))
        path = tree.path(int(rng.integers(len(tree))))
        text.commit(path, [*tree.tokens[path[1:]].tolist(), int(rng.integers(VOCABULARY))])
    return worst


# Both ways to attend for the plain one, for each other the one that is its own or the newer.
WAYS = [("llama", "eager"), *((name, "eager" if name in EAGER_ONLY else "sdpa") for name in MODELS)]
OTHER_WAYS = [(name, "eager") for name in MODELS if name not in (*EAGER_ONLY, "llama")]


@pytest.mark.parametrize(("name", "implementation"), thinned([*WAYS, *OTHER_WAYS], len(WAYS)))
def test_tree_scores_equal_path_scores_through_commits(name, implementation):
    assert worst_error(target_of(name, implementation)) < LAW_ATOL[implementation]


@pytest.mark.parametrize("name", thinned(SLIDING))
def test_a_window_counted_in_slots_is_noticed(name, monkeypatch):
    """Positions in the tree are not slots: a mask that confuses the two must not pass."""

    def by_slots(layout, visible, positions, slot_positions, dtype):
        slots = torch.arange(visible.shape[2])[None]
        return attention_mask_for(layout, visible, slots[:, -visible.shape[1] :], slots, dtype)

    monkeypatch.setattr(causal_lm, "attention_mask_for", by_slots)
    assert worst_error(target_of(name)) > 1e-3


@pytest.mark.parametrize("name", thinned(SLIDING))
def test_a_window_left_out_is_noticed(name, monkeypatch):
    def without(layout, visible, positions, slot_positions, dtype):
        return attention_mask_for(layout, visible, positions, torch.full_like(slot_positions, 10**6), dtype)

    monkeypatch.setattr(causal_lm, "attention_mask_for", without)
    assert worst_error(target_of(name)) > 1e-3


def test_positions_forgotten_by_a_roll_back_are_noticed(monkeypatch):
    sound = PathCache.positions_with

    def as_if_in_order(cache, positions):
        known = sound(cache, positions)
        return torch.cat((torch.arange(cache.filled)[None].flip(1), known[:, cache.filled :]), dim=1)

    monkeypatch.setattr(PathCache, "positions_with", as_if_in_order)
    assert worst_error(target_of("gemma3")) > 1e-3


def small_bloom():
    return BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=1, n_head=2))


def small_bart():
    sizes: dict[str, Any] = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8}
    heads: dict[str, Any] = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
    ends: dict[str, Any] = {"eos_token_id": 2, "forced_eos_token_id": None}
    return BartForConditionalGeneration(BartConfig(vocab_size=VOCABULARY, **sizes, **heads, **ends))


def small_mamba():
    return MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=1))


def chunked():
    model = llama()
    model.config.layer_types = ["chunked_attention"] * SIZES["num_hidden_layers"]
    return model


def flash():
    model = llama()
    model.config._attn_implementation = "flash_attention_2"
    return model


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (small_bart, "encoder-decoder"),
        (small_mamba, "layers of the kinds linear_attention"),
        (small_bloom, "does not take position_ids"),
        (chunked, "layers of the kinds chunked_attention"),
        (flash, "flash_attention_2, which takes no mask"),
    ],
)
def test_models_that_cannot_score_trees_are_refused(build, reason):
    with pytest.raises(InvalidInput, match=reason):
        as_target(build())
