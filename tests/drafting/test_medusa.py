"""Medusa heads of both dialects against their formula, and in the loop."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.generate import generate_from_ids
from speclight.drafting.drafters import drafter_named
from speclight.drafting.medusa.law import MedusaLaw
from speclight.drafting.medusa.loading import load_medusa_heads
from speclight.drafting.settings import DrafterSettings
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.models.sampling import SamplingSettings
from speclight.trees.growing_tree import GrowingTree
from speclight.verification.rules import rule_named
from toys import as_target, tiny_llama

HIDDEN, VOCABULARY, HEADS, BLOCKS = 16, 12, 3, 2
TEXT = [1, 5, 2, 9, 4]
# Float64 on both sides.
ATOL = 1e-9


@pytest.fixture(scope="module")
def target():
    return as_target(tiny_llama(VOCABULARY))


def random_heads(rows=VOCABULARY):
    generator = torch.Generator().manual_seed(0)
    return [
        (
            [
                (torch.randn(HIDDEN, HIDDEN, generator=generator), torch.randn(HIDDEN, generator=generator))
                for _ in range(BLOCKS)
            ],
            torch.randn(rows, HIDDEN, generator=generator),
        )
        for _ in range(HEADS)
    ]


def write_faster_decoding(folder, heads, pickled=True):
    state = {}
    for index, (blocks, output) in enumerate(heads):
        for place, (weight, bias) in enumerate(blocks):
            state |= {f"{index}.{place}.linear.weight": weight, f"{index}.{place}.linear.bias": bias}
        state[f"{index}.{BLOCKS}.weight"] = output
    config = {"medusa_num_heads": HEADS, "medusa_num_layers": BLOCKS, "base_model_name_or_path": "toy"}
    (folder / "config.json").write_text(json.dumps(config))
    if pickled:
        torch.save(state, folder / "medusa_lm_head.pt")
    else:
        save_file(state, folder / "medusa_lm_head.safetensors")
    return folder


def write_vllm(folder, heads, token_map=None, prefix="medusa_heads.", shared_output=False):
    state = {}
    for index, (blocks, output) in enumerate(heads):
        for place, (weight, bias) in enumerate(blocks):
            name = f"{prefix}blocks.{index}.layers.{place}"
            state |= {f"{name}.weight": weight.clone(), f"{name}.bias": bias.clone()}
        if index == 0 or not shared_output:
            state[f"{prefix}lm_heads.{index}.weight"] = output.clone()
    if token_map is not None:
        state["token_map"] = torch.tensor(token_map)
    config = {"model_type": "medusa", "num_heads": HEADS, "num_hidden_layers": BLOCKS, "medusa_fc_bias": True}
    (folder / "config.json").write_text(json.dumps({**config, "original_lm_head": shared_output}))
    save_file(state, folder / "model.safetensors")
    return folder


def expected_log_probs(head, state):
    blocks, output = head
    for weight, bias in blocks:
        inner = weight.double() @ state + bias.double()
        state = state + inner * torch.sigmoid(inner)
    return torch.log_softmax(output.double() @ state, 0).numpy()


def laws_down_a_path(folder, target):
    heads = load_medusa_heads(folder, target)
    law, known, node, laws = MedusaLaw("medusa", heads), GrowingTree(TEXT[-1]), 0, []
    features = target.prefill(target.new_cache(), TEXT[:-1], law.hidden_layers)
    law.begin(TEXT, features)
    for _ in range(HEADS + 1):
        laws.append(law.laws(known, [node])[0])
        node = known.add(node, np.array([0]), np.zeros(1))[0]
    return laws, features[-1]


@pytest.mark.parametrize("dialect", ["pickle", "safetensors", "vllm", "vllm shared"])
def test_every_dialect_equals_the_formula(tmp_path, target, dialect):
    heads = random_heads()
    if dialect.startswith("vllm"):
        write_vllm(tmp_path, heads, shared_output=dialect.endswith("shared"))
        if dialect.endswith("shared"):
            heads = [(blocks, heads[0][1]) for blocks, _ in heads]
    else:
        write_faster_decoding(tmp_path, heads, pickled=dialect == "pickle")
    laws, state = laws_down_a_path(tmp_path, target)
    for head, law in zip(heads, laws, strict=False):
        np.testing.assert_allclose(law.log_probs, expected_log_probs(head, state), rtol=0, atol=ATOL)
    assert len(laws[HEADS].tokens) == 0


def test_the_last_state_is_the_one_the_output_matrix_sees(tmp_path, target):
    """A head without a residual step and with the target's output matrix is the target one token earlier."""
    output = target.model.get_output_embeddings().weight.float()
    zero = [(torch.zeros(HIDDEN, HIDDEN), torch.zeros(HIDDEN))] * BLOCKS
    laws, _ = laws_down_a_path(write_vllm(tmp_path, [(zero, output)] * HEADS), target)
    logits = target.model(torch.tensor([TEXT[:-1]]), use_cache=False).logits[0, -1]
    expected = torch.log_softmax(logits, 0).numpy()
    # The matrix was stored in float32.
    np.testing.assert_allclose(laws[0].log_probs, expected, rtol=0, atol=1e-5)


def test_a_token_map_names_the_tokens(tmp_path, target):
    laws, _ = laws_down_a_path(write_vllm(tmp_path, random_heads(4), token_map=[7, 0, 11, 3]), target)
    assert laws[0].tokens.tolist() == [7, 0, 11, 3]


def test_the_loop_with_medusa_is_lossless(tmp_path, target):
    folder = str(write_faster_decoding(tmp_path, random_heads()))
    settings = DecodeSettings(node_budget=6, max_tokens=24, sampling=SamplingSettings(0.0))
    rule = rule_named("target_sample")
    plain = generate_from_ids(target, TEXT, drafter_named("none", target), rule, settings)
    drafter = drafter_named("medusa", target, DrafterSettings(weights=folder))
    drafted = generate_from_ids(target, TEXT, drafter, rule, settings)
    assert drafted.token_ids == plain.token_ids
    assert all(max(call.tree.depths) <= HEADS for call in drafted.calls)


def test_bad_heads_are_refused(tmp_path, target):
    heads = random_heads()
    config = tmp_path / "config.json"
    write_faster_decoding(tmp_path, heads, pickled=False)
    good = json.loads(config.read_text())
    config.write_text(json.dumps({**good, "medusa_num_heads": 2}))
    with pytest.raises(CorruptWeights, match="unknown in the FasterDecoding"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps({**good, "medusa_num_heads": 4}))
    with pytest.raises(CorruptWeights, match=r"3\.0\.linear\.weight is missing"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps({"num_heads": 3}))
    with pytest.raises(InvalidInput, match="model_type medusa"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps(good))
    other = as_target(tiny_llama(VOCABULARY + 1))
    with pytest.raises(VocabularyMismatch, match=r"0\.2\.weight"):
        load_medusa_heads(tmp_path, other)
    with pytest.raises(InvalidInput, match="give their folder"):
        drafter_named("medusa", target)
