"""Trees after several texts, scored in one pass, are scored as each path alone.

Real Transformers classes with few random weights. The reference is a plain call of the model on each path: no
cache, mask, position or batch of ours.
"""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from speclight.errors import InvalidInput
from speclight.models import scored_text
from speclight.models.joint_cache import JointCache, TextBounds
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import DraftTree
from toys import as_target, law_after, tiny_target

# Float64 weights; attention over up to 40 slots summed in another order moves a probability by less. Eager
# attention takes its softmax in float32 whatever the type, and moves laws by some 1e-7.
LAW_ATOL = {"sdpa": 1e-11, "eager": 1e-5}
NOTICED = 1e-3  # what a wrong mask or place moves a law by, at the least
VOCABULARY = 11
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
WINDOW = 4  # of Gemma's sliding layer: far shorter than the texts


def llama():
    return LlamaForCausalLM(LlamaConfig(**SIZES, **GROUPED))


def gemma3():
    kinds = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES, **GROUPED, sliding_window=WINDOW, layer_types=kinds, query_pre_attn_scalar=4
        )
    )


def gpt2():
    return GPT2LMHeadModel(GPT2Config(**SIZES, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))


def target_of(build, implementation="sdpa"):
    torch.manual_seed(3)
    model = build()
    model.set_attn_implementation(implementation)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.35)  # laws differ clearly between contexts
    return as_target(model)


def random_tree(rng, root, nodes):
    """Each node below a random earlier one, tokens apart among siblings."""
    tokens, parents = [root], [-1]
    while len(tokens) < nodes:
        parent, token = int(rng.integers(len(tokens))), int(rng.integers(VOCABULARY))
        if (parent, token) not in zip(parents, tokens, strict=True):
            parents.append(parent)
            tokens.append(token)
    return DraftTree(np.array(tokens), np.array(parents), np.zeros(len(tokens)))


def worst_error(target, calls=3):
    """Largest error of any law, over texts of several lengths, trees of several sizes, and commits."""
    rng = np.random.default_rng(0)
    texts = [ScoredText(target, rng.integers(0, VOCABULARY, size=size).tolist()) for size in (9, 1, 4)]
    worst = 0.0
    for call in range(calls):
        if call == 2:
            texts = texts[1:]  # the first text has ended
        trees = [random_tree(rng, text.token_ids[-1], int(rng.integers(1, 9))) for text in texts]
        for text, tree, logits in zip(texts, trees, score_together(texts, trees), strict=True):
            laws = torch.softmax(logits, dim=1).numpy()
            for node in range(len(tree)):
                path = tree.path(node)
                expected = law_after(target, text.token_ids + tree.tokens[path[1:]].tolist())
                worst = max(worst, float(np.abs(laws[node] - expected).max()))
            path = tree.path(int(rng.integers(len(tree))))
            text.commit(path, [*tree.tokens[path[1:]].tolist(), int(rng.integers(VOCABULARY))])
            assert text.cache.filled == text.cache.committed == len(text.token_ids) - 1
    return worst


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [llama, gemma3, gpt2])
def test_joint_scores_equal_path_scores_through_commits(build, implementation):
    assert worst_error(target_of(build, implementation)) < LAW_ATOL[implementation]


def test_a_text_that_sees_another_is_noticed(monkeypatch):
    sound = scored_text.of_trees

    def all_seeing(trees, committed):
        visible = sound(trees, committed)
        visible[-1, 0] = True
        return visible

    monkeypatch.setattr(scored_text, "of_trees", all_seeing)
    # Attention text by text would not look there: what it is given is checked where nobody cuts.
    assert worst_error(target_of(llama, "eager")) > NOTICED


def test_bounds_of_other_texts_are_noticed(monkeypatch):
    sound = JointCache.text_bounds

    def shifted(cache):
        bounds = sound(cache)
        new = bounds.new.clone()
        new[1] = max(1, new[1] - 1) if new[1] > 1 else new[1] + 1
        return TextBounds(new=new, slots=bounds.slots)

    monkeypatch.setattr(JointCache, "text_bounds", shifted)
    assert worst_error(target_of(llama)) > NOTICED


def test_a_model_that_takes_no_bounds_gives_the_same(monkeypatch):
    target = target_of(llama)
    target._takes_text_bounds = False
    assert worst_error(target) < LAW_ATOL["sdpa"]


def test_features_are_those_of_each_text_alone():
    target, layers = target_of(gemma3), (0, 2)
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, VOCABULARY, size=size).tolist() for size in (6, 3)]
    joint = [ScoredText(target, prompt, layers) for prompt in prompts]
    alone = [ScoredText(target, prompt, layers) for prompt in prompts]
    trees = [random_tree(rng, prompt[-1], size) for prompt, size in zip(prompts, (2, 5), strict=True)]
    score_together(joint, trees)
    for one, other, tree in zip(joint, alone, trees, strict=True):
        other.score(tree)
        path = tree.path(len(tree) - 1)
        emitted = [0] * len(path)
        features, expected = one.commit(path, emitted), other.commit(path, emitted)
        assert features is not None
        assert expected is not None
        torch.testing.assert_close(features, expected, rtol=0, atol=1e-12)  # float64, sums reordered


def test_texts_that_cannot_be_scored_together_are_refused():
    one, other = tiny_target(5), tiny_target(5)
    tree = DraftTree(np.array([2]), np.array([-1]), np.zeros(1))
    with pytest.raises(InvalidInput, match="one model"):
        score_together([ScoredText(one, [1, 2]), ScoredText(other, [1, 2])], [tree, tree])
    with pytest.raises(InvalidInput, match="same layers"):
        score_together([ScoredText(one, [1, 2]), ScoredText(one, [1, 2], (0,))], [tree, tree])
    with pytest.raises(InvalidInput, match="root"):
        score_together([ScoredText(one, [1, 2]), ScoredText(one, [1, 3])], [tree, tree])
