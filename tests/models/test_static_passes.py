"""Passes over buffers that stay give what plain ones give; on CUDA they are replayed from a recording.

On a CPU the same tensors are computed step by step, so that all but the recording is tested anywhere.
"""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

import speclight
from speclight.models import slabs
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText
from speclight.models.static_passes import ROWS, StaticPasses
from speclight.trees.draft_tree import DraftTree, root_only
from toys import as_target, tiny_llama

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
# Float64: the same sums over more slots, those that nobody sees being exactly 0.
ATOL = 1e-10


def gemma3():
    """Sliding and full layers in turn: one mask each, the sliding one by the positions of all slots."""
    torch.manual_seed(1)
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=12,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=4,
            max_position_embeddings=128,
            sliding_window=6,
            query_pre_attn_scalar=4,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    )


def llama():
    return tiny_llama(12, seed=3, layers=3, window=128)


MODELS = {"llama": llama, "gemma3": gemma3}


def plain_and_static(build, device):
    """Twins, of which the second computes over slabs, wherever it is."""
    plain = as_target(build().to(device))
    there = as_target(build().to(device))
    static = CausalLM(there.loaded, "graphs" if device == "cuda" else "eager")
    assert (static.kernels == "graphs") == (device == "cuda")
    static.static_passes = static.static_passes or StaticPasses(static.computed, static.layers)
    static.end_of_text = frozenset()
    return plain, static


def random_tree(root, nodes, rng):
    """Each node below one of the last eight before it, the tokens of siblings in order."""
    parents, tokens, children = [-1], [root], [0] * nodes
    for place in range(1, nodes):
        parent = int(rng.integers(max(0, place - 8), place))
        parents.append(parent)
        tokens.append(children[parent])
        children[parent] += 1
    return DraftTree(np.array(tokens), np.array(parents), np.zeros(nodes))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODELS)
def test_trees_along_a_text_have_the_logits_and_states_of_plain_passes(name, device, monkeypatch):
    """Trees of all sizes, committed along paths that leave nodes out; the text outgrows two slabs."""
    monkeypatch.setattr(slabs, "SMALLEST_SLAB", 16)
    twins = plain_and_static(MODELS[name], device)
    rng, prompt, layers = np.random.default_rng(0), [1, 2, 3, 4, 5], (0, 2, 3, 4)
    texts = [ScoredText(target, prompt, layers) for target in twins]
    for nodes in (1, 2, 3, 5, 9, 17, 33, 1, 40, 4):
        tree = random_tree(texts[0].token_ids[-1], nodes, rng)
        plain, static = (text.score(tree) for text in texts)
        torch.testing.assert_close(static, plain, rtol=0, atol=ATOL)
        path = tree.path(nodes - 1)
        emitted = [*(int(tree.tokens[node]) for node in path[1:]), int(rng.integers(12))]
        states = [text.commit(path, emitted) for text in texts]
        torch.testing.assert_close(states[1], states[0], rtol=0, atol=ATOL)
    kept = texts[1].cache.path_layers[0].slab.kept
    assert kept  # passes were of this kind, and others not
    assert texts[0].cache.path_layers[0].slab is None
    for mine, others in zip(texts[1].cache.filled_slots(), texts[0].cache.filled_slots(), strict=True):
        for part, other in zip(mine, others, strict=True):
            torch.testing.assert_close(part, other, rtol=0, atol=ATOL)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("drafter", ["none", "ngram", "layer_skip"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_decoded_texts_are_those_of_plain_passes(drafter, temperature, device):
    """layer_skip works in the slab of its target."""
    options = {"temperature": temperature, "max_tokens": 60, "seed": 1, "raw": True, "node_budget": 6}
    made = [
        speclight.generate(target, "t1 t2 t1 t2", drafter=drafter, **options)
        for target in plain_and_static(llama, device)
    ]
    assert made[0].token_ids == made[1].token_ids
    assert len(made[0].calls) == len(made[1].calls)


@pytest.mark.parametrize("device", DEVICES)
def test_texts_one_after_the_other_share_slabs_and_recordings(device):
    _, static = plain_and_static(llama, device)
    seen = []
    for _ in range(3):
        text = ScoredText(static, [1, 2, 3])
        text.score(root_only(3))
        slab = text.cache.path_layers[0].slab
        seen.append((id(slab), [id(one) for one in slab.kept.values()]))
        del text, slab
        gc.collect()
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("device", DEVICES)
def test_more_texts_than_slabs_are_computed_as_ever(device):
    plain, static = plain_and_static(llama, device)
    texts = [ScoredText(static, [1, 2, number]) for number in range(slabs.MOST_LENT + 2)]
    for number, text in enumerate(texts):
        expected = ScoredText(plain, [1, 2, number]).score(root_only(number))
        torch.testing.assert_close(text.score(root_only(number)), expected, rtol=0, atol=ATOL)
    lent = [text.cache.path_layers[0].slab for text in texts]
    assert [slab is not None for slab in lent] == [True] * slabs.MOST_LENT + [False] * 2
    assert len({id(slab) for slab in lent}) == slabs.MOST_LENT + 1


def test_what_an_earlier_text_left_behind_is_not_seen():
    plain, static = plain_and_static(llama, "cpu")
    text = ScoredText(static, [1, 2, 3])
    text.score(root_only(3))
    with torch.inference_mode():
        text.cache.path_layers[0].slab.block.fill_(float("nan"))
    del text
    gc.collect()
    expected = ScoredText(plain, [4, 5, 6]).score(root_only(6))
    torch.testing.assert_close(ScoredText(static, [4, 5, 6]).score(root_only(6)), expected, rtol=0, atol=ATOL)


def test_larger_passes_and_batches_are_not_recorded():
    _, static = plain_and_static(llama, "cpu")
    text = ScoredText(static, [1, 2, 3])
    text.score(random_tree(3, ROWS[-1] + 1, np.random.default_rng(0)))
    assert text.cache.path_layers[0].slab is None
    cache = static.new_cache()
    tokens = torch.tensor([[1, 2], [3, 4]])
    for start in (0, 2):
        positions = torch.arange(start, start + 2).expand(2, -1)
        visible = torch.ones(2, 2, start + 2, dtype=torch.bool).tril(start)
        static.forward(cache, tokens, positions, visible)
        cache.keep(range(start, start + 2))
    assert cache.path_layers[0].slab is None


def test_a_pass_that_cannot_be_recorded_is_computed_as_ever():
    plain, static = plain_and_static(llama, "cpu")

    def looks_at_its_numbers(cache, inputs, hidden_layers):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    static.static_passes = StaticPasses(looks_at_its_numbers, static.layers)
    text, expected = ScoredText(static, [1, 2, 3]), ScoredText(plain, [1, 2, 3]).score(root_only(3))
    with pytest.warns(UserWarning, match=r"cannot be recorded.*\(operation not permitted when.*capturing\)"):
        torch.testing.assert_close(text.score(root_only(3)), expected, rtol=0, atol=ATOL)
    text.commit(np.array([0]), [5])
    text.score(root_only(5))  # without another warning, which tests take for an error


def test_graphs_need_a_cuda_device():
    loaded = as_target(llama()).loaded
    with pytest.warns(
        UserWarning, match="the graphs kernels are for a model on a CUDA device, got weights on cpu"
    ):
        assert CausalLM(replace(loaded, name="asked"), "graphs").kernels == "eager"
