"""Medusa heads of both dialects against their formula, and in the loop."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.generate import generate_from_ids
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import Medusa, Plain
from speclight.drafting.drafters import new_drafter
from speclight.drafting.medusa.law import MedusaLaw
from speclight.drafting.medusa.loading import load_medusa_heads
from speclight.errors import CorruptWeights, InvalidInput, VocabularyMismatch
from speclight.measure.drafter_depths import chain_coupling
from speclight.measure.drafter_profile_run import run_drafter_profile
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings
from speclight.theory.coins.coupling import coupling_bound, parallel_head_paths
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


def test_the_limit_of_its_chains_is_that_of_the_product_of_its_marginals(tmp_path, target):
    """What a drafter profile of Medusa heads says of any lossless rule, against the heads' own logits."""
    heads = random_heads()
    head_folder = tmp_path / "heads"
    head_folder.mkdir()
    law = MedusaLaw("medusa", load_medusa_heads(write_vllm(head_folder, heads), target))
    prompts = (Prompt("a", "toy", ("t1 t5",)), Prompt("b", "toy", ("t2 t7 t3",)))
    profile = run_profile(target, prompts, ProfileSettings(max_tokens=14), tmp_path / "profile")
    looked_at = DrafterProfileSettings(node_budget=HEADS + 1, every=1, depths=HEADS)
    drafter = ComparedDrafter("medusa", str(head_folder))
    record = run_drafter_profile(target, drafter, profile, looked_at, tmp_path / "drafter")
    marginals = []
    for text in profile.texts:
        ids = [*text.prompt_token_ids, *text.token_ids]
        features = target.prefill(target.new_cache(), ids[:-1], law.hidden_layers)
        found = np.zeros((len(text.token_ids), HEADS))
        for start in range(len(found) - HEADS + 1):
            state = features[len(text.prompt_token_ids) + start - 2]
            for ahead, head in enumerate(heads):
                found[start, ahead] = expected_log_probs(head, state)[text.token_ids[start + ahead]]
        marginals.append(parallel_head_paths(found))
    bound = coupling_bound(profile.sampled_texts("toy"), marginals)
    assert chain_coupling(record).value == pytest.approx(bound.value, abs=1e-6)
    assert 1.0 < bound.value < 1.0 + HEADS
    assert all(a >= b for a, b in pairwise(bound.by_depth))


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
    for head, law in zip(heads, laws[: len(heads)], strict=True):
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


def test_a_config_as_vllms_class_saves_it(tmp_path, target):
    folder = write_vllm(tmp_path, random_heads())
    config = json.loads((folder / "config.json").read_text())
    more = {"hidden_size": 16, "vocab_size": VOCABULARY, "truncated_vocab_size": VOCABULARY}
    drafting = {"max_paths": 64, "topk": 10, "max_seq_len": 2**20, "architectures": ["MedusaModel"]}
    (folder / "config.json").write_text(json.dumps({**config, **more, **drafting}))
    assert len(load_medusa_heads(folder, target).heads) == HEADS


@pytest.mark.parametrize("stated", [2, 5])
def test_the_file_says_how_many_heads_there_are(tmp_path, target, stated):
    """As published: medusa_num_heads of a config is overridden by its own loader."""
    write_faster_decoding(tmp_path, random_heads())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "medusa_num_heads": stated}))
    with pytest.warns(UserWarning, match=f"medusa_num_heads = {stated}, the file holds {HEADS} heads"):
        heads = load_medusa_heads(tmp_path, target)
    assert len(heads.heads) == HEADS


def test_a_head_missing_between_others_is_found(tmp_path, target):
    folder = write_faster_decoding(tmp_path, random_heads(), pickled=False)
    path = folder / "medusa_lm_head.safetensors"
    save_file({name: t for name, t in load_file(path).items() if not name.startswith("1.")}, path)
    with pytest.raises(CorruptWeights, match=r"heads \[0, 2\]"):
        load_medusa_heads(folder, target)


def test_a_token_map_picks_rows_of_a_whole_output_matrix(tmp_path, target):
    """vLLM's loader does: the file may hold rows for all tokens."""
    heads, picked = random_heads(), [7, 0, 11, 3]
    laws, state = laws_down_a_path(write_vllm(tmp_path, heads, token_map=picked), target)
    for head, law in zip(heads, laws[: len(heads)], strict=True):
        expected = expected_log_probs((head[0], head[1][picked]), state)
        np.testing.assert_allclose(law.log_probs, expected, rtol=0, atol=ATOL)
        assert law.tokens.tolist() == picked


@pytest.mark.parametrize("token_map", [None, [7, 0, 11, 3]])
@pytest.mark.parametrize("dialect", ["FasterDecoding", "vLLM"])
def test_heads_without_an_output_matrix_use_the_targets(tmp_path, target, dialect, token_map):
    output = target.model.get_output_embeddings().weight
    heads = [(blocks, output.clone()) for blocks, _ in random_heads()]
    if dialect == "vLLM":
        write_vllm(tmp_path, heads, token_map)
        path, mark = tmp_path / "model.safetensors", "lm_heads"
    else:
        token_map = None
        write_faster_decoding(tmp_path, heads, pickled=False)
        path, mark = tmp_path / "medusa_lm_head.safetensors", f".{BLOCKS}.weight"
    save_file({name: tensor for name, tensor in load_file(path).items() if mark not in name}, path)
    laws, state = laws_down_a_path(tmp_path, target)
    rows = range(VOCABULARY) if token_map is None else token_map
    for (blocks, _), law in zip(heads, laws[: len(heads)], strict=True):
        expected = expected_log_probs((blocks, output[list(rows)]), state)
        np.testing.assert_allclose(law.log_probs, expected, rtol=0, atol=ATOL)


def test_the_loop_with_medusa_is_lossless(tmp_path, target):
    folder = str(write_faster_decoding(tmp_path, random_heads()))
    settings = DecodeSettings(node_budget=6, max_tokens=24, sampling=SamplingSettings(0.0))
    rule = rule_named("target_sample")
    plain = generate_from_ids(target, TEXT, new_drafter(Plain(), target), rule, settings)
    drafter = new_drafter(Medusa(folder), target)
    drafted = generate_from_ids(target, TEXT, drafter, rule, settings)
    assert drafted.token_ids == plain.token_ids
    assert all(max(call.tree.depths) <= HEADS for call in drafted.calls)


def test_bad_heads_are_refused(tmp_path, target):
    heads = random_heads()
    config = tmp_path / "config.json"
    write_faster_decoding(tmp_path, heads, pickled=False)
    good = json.loads(config.read_text())
    config.write_text(json.dumps({**good, "medusa_num_layers": 1}))
    with pytest.raises(CorruptWeights, match=r"0\.1\.weight is missing|is unknown in the FasterDecoding"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps({**good, "something_new": 3}))
    with pytest.raises(InvalidInput, match="something_new = 3"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps({"num_heads": 3}))
    with pytest.raises(InvalidInput, match="model_type medusa"):
        load_medusa_heads(tmp_path, target)
    config.write_text(json.dumps(good))
    other = as_target(tiny_llama(VOCABULARY + 1))
    with pytest.raises(VocabularyMismatch, match=r"0\.2\.weight"):
        load_medusa_heads(tmp_path, other)
