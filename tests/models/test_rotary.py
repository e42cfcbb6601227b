"""Whatever the kind of rotary embedding, a token's law depends on its own past and on nothing beside it."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from speclight.errors import ContextOverflow
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import DraftTree
from toys import as_target, law_after

ORIGINAL, LONGEST, VOCABULARY = 24, 60, 11
# Float64 weights, but rotary angles are float32: both sides compute the same ones.
LAW_ATOL = 1e-11
THETA = {"rope_theta": 10000.0}
SHORT, LONG = [1.0, 1.1], [3.0, 4.0]
KINDS = {
    "default": {},
    "linear": {"factor": 2.5},
    "dynamic": {"factor": 2.5},
    "yarn": {"factor": 2.5, "original_max_position_embeddings": ORIGINAL},
    "longrope": {
        "short_factor": SHORT,
        "long_factor": LONG,
        "original_max_position_embeddings": ORIGINAL,
        "factor": 2.5,
    },
    "llama3": {
        "factor": 2.5,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
    },
}
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": LONGEST,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def target_of(kind, family=(LlamaConfig, LlamaForCausalLM)):
    torch.manual_seed(3)
    rope = {"rope_type": kind, **THETA, **KINDS[kind]}
    # Phi-3 wants the original length beside the factors.
    extra = {"original_max_position_embeddings": ORIGINAL} if family[0] is Phi3Config else {}
    model = family[1](family[0](**SIZES, **extra, rope_parameters=rope))
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.35)
    return as_target(model)


def chain_with_sides(root, nodes, rng):
    """As deep as can be: a chain with one more child at every second node of it."""
    tokens, parents, tip = [root], [-1], 0
    while len(tokens) < nodes:
        first, second = rng.choice(VOCABULARY, 2, replace=False).tolist()
        tokens += [first, second][: nodes - len(tokens)]
        parents += [tip, tip][: len(tokens) - len(parents)]
        tip = len(tokens) - 2 if len(tokens) > 2 else len(tokens) - 1
    return DraftTree(np.array(tokens), np.array(parents), np.zeros(len(tokens)))


def assert_laws_are_each_paths_own(target, text, tree, logits):
    laws = torch.softmax(logits, dim=1).numpy()
    for node in range(len(tree)):
        expected = law_after(target, text + tree.tokens[tree.path(node)[1:]].tolist())
        np.testing.assert_allclose(laws[node], expected, rtol=0, atol=LAW_ATOL)


def test_every_kind_that_transformers_knows_is_tried_or_served_by_layer():
    # "proportional" is set once too; it is made for Gemma 4's layers alone.
    assert set(ROPE_INIT_FUNCTIONS) <= {*KINDS, "proportional"}


@pytest.mark.parametrize("kind", KINDS)
def test_drafts_to_the_end_of_the_window_leave_the_texts_law(kind):
    target, rng = target_of(kind), np.random.default_rng(0)
    assert target.context_window == (ORIGINAL if kind == "longrope" else LONGEST)
    for room in (12, 3, 1):
        text = rng.integers(0, VOCABULARY, target.context_window - room).tolist()
        scored = ScoredText(target, text)
        tree = chain_with_sides(text[-1], 2 * scored.room - 1, rng)
        assert max(len(tree.path(node)) for node in range(len(tree))) <= scored.room
        assert_laws_are_each_paths_own(target, text, tree, scored.score(tree))


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_text_beside_a_long_one(kind):
    target, rng = target_of(kind), np.random.default_rng(1)
    texts = [rng.integers(0, VOCABULARY, size).tolist() for size in (5, target.context_window - 4)]
    scored = [ScoredText(target, text) for text in texts]
    trees = [chain_with_sides(text[-1], 7, rng) for text in texts]
    for text, tree, logits in zip(texts, trees, score_together(scored, trees), strict=True):
        assert_laws_are_each_paths_own(target, text, tree, logits)


def test_phi3_is_served_up_to_where_its_factors_switch():
    target, rng = target_of("longrope", (Phi3Config, Phi3ForCausalLM)), np.random.default_rng(2)
    text = rng.integers(0, VOCABULARY, ORIGINAL - 3).tolist()
    scored = ScoredText(target, text)
    tree = chain_with_sides(text[-1], 7, rng)
    assert_laws_are_each_paths_own(target, text, tree, scored.score(tree))
    with pytest.raises(ContextOverflow, match=f"context window of {ORIGINAL} tokens .* change the rotary"):
        ScoredText(target, [1] * ORIGINAL)
