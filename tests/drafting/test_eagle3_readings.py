"""What each key and tensor of a head means, one by one, against the one-page reference.

Every meaning changes the law by far more than the tolerance, so a key without effect fails.
"""

import numpy as np
import pytest
import torch

from eagle3_reference import reference_path
from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.errors import CorruptWeights, InvalidInput
from speclight.trees.growing_tree import GrowingTree
from toy_heads import (
    HEAD_SIZE,
    HEADS,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    VOCABULARY,
    config_of,
    layer_section,
    random_state,
    with_maps,
    write_head,
)
from toys import as_target, tiny_llama

TARGET_LAYERS = 6
TEXT, PATH = [1, 5, 2, 9, 4, 7, 3], [3, 11, 0, 8]
# Norms and rotary tables are float32 whatever the weights are; states reach the hundreds.
ATOL = 1e-4
STANDARD = (2, 3, 3)


@pytest.fixture(scope="module")
def target():
    return as_target(tiny_llama(VOCABULARY, layers=TARGET_LAYERS))


def drafted_log_probs(head, target):
    """[steps, draft vocabulary] log-probabilities along the path."""
    law = Eagle3Law("eagle3", head.network, head.target_ids)
    law.begin(TEXT, target.prefill(target.new_cache(), TEXT[:-1], law.hidden_layers))
    known, node, rows = GrowingTree(TEXT[-1]), 0, []
    for token in [*PATH, None]:
        rows.append(law.laws(known, [node])[0].log_probs)
        if token is not None:
            node = known.add(node, np.array([token]), np.zeros(1))[0]
    return np.stack(rows)


def expected_log_probs(target, state, layers, **flags):
    state = {name: tensor.double() for name, tensor in state.items()}
    features = target.prefill(target.new_cache(), TEXT[:-1], layers)
    embedding = state.get("embed_tokens.weight", target.model.get_input_embeddings().weight)
    logits, states = reference_path(state, embedding, features, TEXT, HEADS, KV_HEADS, PATH, **flags)
    return torch.log_softmax(logits, -1).numpy(), states


def check(head, target, state, layers, **flags):
    """The head's laws are the reference's, drafting and unrolled; returns the laws."""
    assert head.network.conventions.layers == tuple(layers)
    got = drafted_log_probs(head, target)
    expected, _ = expected_log_probs(target, state, layers, **flags)
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)
    tokens = [*TEXT, *PATH]
    features = target.prefill(target.new_cache(), tokens[:-1], tuple(layers))
    unrolled = list(unrolled_states(head.network, torch.tensor([tokens[1:]]), features[None], 4))
    for step, states in enumerate(unrolled):  # the text whose features end with TEXT, and `step` drafts
        laws = torch.log_softmax(head.network.logits(states[0, len(TEXT) - 2 + step]), -1)
        np.testing.assert_allclose(laws, expected[step], rtol=0, atol=ATOL)
    return got


def differ(one, other):
    return np.abs(one - other).max() > 100 * ATOL


def flat(**changes):
    return config_of("SpecForge", **changes)


def ids(*numbers, **more):
    return {"eagle_config": {"eagle_aux_hidden_state_layer_ids": list(numbers), **more}}


@pytest.mark.parametrize(
    ("changes", "layers", "is_noted"),
    [
        # The authors' layers, counted as outputs and as states; nothing stated, and stated as nothing.
        (ids(1, 2, 2), STANDARD, False),
        (ids(2, 3, 3), STANDARD, False),
        (ids(), STANDARD, False),
        ({"eagle_config": None}, STANDARD, False),
        # The stream after the last layer exists in one numbering only.
        (ids(2, 4, 6), (2, 4, 6), False),
        (ids(1, 3, 6, next_layer_regular=True), (1, 3, 6), False),
        # Open: SGLang's rule, and a note.
        (ids(1, 3, 4), (2, 4, 5), True),
        (ids(0, 1, 2), (1, 2, 3), True),
        (ids(3, 4, 5), (3, 4, 5), True),
        # Outside eagle_config they are states, whatever else is said.
        ({"eagle_aux_hidden_state_layer_ids": [1, 3, 4]}, (1, 3, 4), False),
        ({"eagle_aux_hidden_state_layer_ids": [1, 3, 4], **ids(1, 3, 4)}, (1, 3, 4), False),
        ({"eagle_aux_hidden_state_layer_ids": [1, 3, 4], **ids(0, 2, 3)}, (1, 3, 4), False),
    ],
)
@pytest.mark.parametrize("architecture", ["LlamaForCausalLMEagle3", "LlamaForCausalLM", "Eagle3Anything"])
def test_layer_ids_are_read_by_the_key_they_stand_under(
    tmp_path, target, changes, layers, is_noted, architecture
):
    config = flat(**{"eagle_config": None, **changes}, architectures=[architecture])
    head = load_head(write_head(tmp_path, "SpecForge", config=config), target)
    assert head.network.conventions.layers == layers
    assert bool(head.notes) == is_noted
    assert all("eagle_aux_hidden_state_layer_ids" in note and "doctor" in note for note in head.notes)


def test_speculators_ids_are_states(tmp_path, target):
    for numbers, layers in (([1, 2, 2], (1, 2, 2)), ([], STANDARD), ([2, 3, 6], (2, 3, 6))):
        config = config_of("speculators", eagle_aux_hidden_state_layer_ids=numbers)
        head = load_head(write_head(tmp_path, "speculators", config=config), target)
        check(head, target, random_state(), layers)


def test_lists_that_contradict_each_other_are_refused(tmp_path, target):
    config = flat(eagle_aux_hidden_state_layer_ids=[1, 3, 5], **ids(1, 3, 4))
    with pytest.raises(CorruptWeights, match="expected the same layers"):
        load_head(write_head(tmp_path, "SpecForge", config=config), target)


def test_the_last_layers_state_is_the_one_before_the_final_norm(tmp_path, target):
    config = flat(**ids(2, 4, 6))
    head = load_head(write_head(tmp_path, "SpecForge", config=config), target)
    got = check(head, target, random_state(), (2, 4, TARGET_LAYERS))
    normed, _ = expected_log_probs(target, random_state(), (2, 4, target.output_state))
    assert differ(got, normed)
    assert "before the target's final norm" in "\n".join(head.lines())


def test_norm_output_false_is_the_standard_unless_the_norm_was_never_trained(tmp_path, target):
    head = load_head(write_head(tmp_path, "SpecForge", config=flat(norm_output=False)), target)
    check(head, target, random_state(), LAYERS)
    assert not [note for note in head.notes if "norm_output" in note]
    state = {**random_state(), "norm.weight": torch.ones(HIDDEN)}
    head = load_head(write_head(tmp_path, "SpecForge", with_maps(state), flat(norm_output=False)), target)
    check(head, target, state, LAYERS, norm_before_output=False)
    assert [note for note in head.notes if "norm_output" in note]


def test_norm_output_true_says_which_meaning_was_taken(tmp_path, target):
    head = load_head(write_head(tmp_path, "SpecForge", config=flat(norm_output=True)), target)
    check(head, target, random_state(), LAYERS, normed_recurrence=True)
    assert "September 2026" in "\n".join(head.lines())
    config = config_of("speculators", norm_output=True)
    assert not load_head(write_head(tmp_path, "speculators", config=config), target).notes


@pytest.mark.parametrize("place", ["config", "eagle_config"])
@pytest.mark.parametrize(
    ("key", "extra"),
    [
        ("norm_before_fc", {"input_norm.weight": 3 * HIDDEN}),
        ("fc_norm", {f"fc_norm.{block}.weight": HIDDEN for block in range(3)}),
    ],
)
def test_norms_before_fusing_in_every_flat_config(tmp_path, target, place, key, extra):
    generator = torch.Generator().manual_seed(5)
    norms = {name: torch.rand(size, generator=generator) + 0.5 for name, size in extra.items()}
    state = {**random_state(), **norms}
    changes = {key: True} if place == "config" else ids(0, 1, 2, **{key: True})
    head = load_head(write_head(tmp_path, "SpecForge", with_maps(state), flat(**changes)), target)
    got = check(head, target, state, LAYERS)
    assert differ(got, expected_log_probs(target, random_state(), LAYERS)[0])


def test_a_key_stated_twice_and_differently_is_refused(tmp_path, target):
    config = flat(fc_norm=True, **ids(0, 1, 2, fc_norm=False))
    with pytest.raises(CorruptWeights, match="states fc_norm twice"):
        load_head(write_head(tmp_path, "SpecForge", config=config), target)


@pytest.mark.parametrize("has_matrix", [False, True])
def test_heads_without_auxiliary_states_read_the_last_one(tmp_path, target, has_matrix):
    """After the final norm, as the serving engines hand it over; `fc` is left out where widths agree."""
    state = random_state()
    state["fc.weight"] = state["fc.weight"][:, :HIDDEN].contiguous()
    if not has_matrix:
        del state["fc.weight"]
    config = flat(eagle_config={"use_aux_hidden_state": False}, num_eagle_features=1)
    head = load_head(write_head(tmp_path, "SpecForge", with_maps(state), config), target)
    check(head, target, state, (target.output_state,))
    assert "after the target's final norm" in "\n".join(head.lines())


def test_a_fusion_bias_is_told_by_the_file(tmp_path, target):
    """SafeAILab's configs say bias true of heads that have none."""
    head = load_head(write_head(tmp_path, "SpecForge", config=flat(bias=True)), target)
    check(head, target, random_state(), LAYERS)
    state = {**random_state(), "fc.bias": torch.linspace(-3, 3, HIDDEN)}
    head = load_head(write_head(tmp_path, "SpecForge", with_maps(state), flat(bias=True)), target)
    got = check(head, target, state, LAYERS)
    assert differ(got, expected_log_probs(target, random_state(), LAYERS)[0])


@pytest.mark.parametrize("ties", [False, True])
def test_a_head_without_output_matrix(tmp_path, target, ties):
    """It takes the target's, or its own embedding if the two are tied; a reduced vocabulary has no such."""
    state = random_state()
    del state["lm_head.weight"]
    if ties:
        state["embed_tokens.weight"] = torch.randn(VOCABULARY, HIDDEN, generator=torch.Generator())
    config = flat(draft_vocab_size=None, tie_word_embeddings=ties)
    head = load_head(write_head(tmp_path, "SpecForge", state, config), target)
    output = state.get("embed_tokens.weight", target.model.get_output_embeddings().weight)
    check(head, target, {**state, "lm_head.weight": output}, LAYERS)
    assert f"output matrix: {'its embedding' if ties else 'of the target'}" in head.lines()
    with pytest.raises(CorruptWeights, match=r"lm_head\.weight is missing"):
        load_head(write_head(tmp_path, "SpecForge", with_maps(state), flat()), target)


def test_qwen3_layers_norm_queries_and_keys(tmp_path, target):
    state = random_state()
    for name in ("q_norm", "k_norm"):
        norm = 1 + torch.rand(HEAD_SIZE, generator=torch.Generator().manual_seed(len(name)))
        state[f"midlayer.self_attn.{name}.weight"] = norm
    section = layer_section(model_type="qwen3", rope_parameters={"rope_theta": 1e4, "rope_type": "default"})
    config = config_of("speculators", transformer_layer_config=section)
    head = load_head(write_head(tmp_path, "speculators", with_maps(state), config), target)
    got = check(head, target, state, LAYERS)
    assert differ(got, expected_log_probs(target, random_state(), LAYERS)[0])


def test_messages_use_the_files_own_names(tmp_path, target):
    state = with_maps(random_state())
    del state["midlayer.mlp.up_proj.weight"]
    with pytest.raises(CorruptWeights, match=r"tensor layers\.0\.mlp\.up_proj\.weight is missing"):
        load_head(write_head(tmp_path, "speculators", state), target)
    with pytest.raises(CorruptWeights, match=r"tensor midlayer\.mlp\.up_proj\.weight is missing"):
        load_head(write_head(tmp_path / "flat", "SpecForge", state), target)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("layer", ["midlayer.", "layers.0."])
def test_names_that_the_serving_engines_accept(tmp_path, target, prefix, layer):
    """Either name of the layer under any config, and vLLM's names for everything else."""
    stored = with_maps(random_state())
    stored["draft_id_to_target_id"] = stored.pop("d2t")
    del stored["t2d"]
    renamed = {prefix + name.replace("midlayer.", layer): tensor for name, tensor in stored.items()}
    renamed["midlayer.self_attn.rotary_emb.inv_freq"] = torch.ones(HEAD_SIZE // 2)
    for dialect in ("SpecForge", "SafeAILab"):
        config = config_of(dialect, eagle_aux_hidden_state_layer_ids=list(LAYERS), eagle_config=None)
        check(
            load_head(write_head(tmp_path, dialect, renamed, config), target), target, random_state(), LAYERS
        )


def test_one_tensor_under_two_names_is_refused(tmp_path, target):
    state = with_maps(random_state())
    state["layers.0.mlp.up_proj.weight"] = state["midlayer.mlp.up_proj.weight"].clone()
    with pytest.raises(CorruptWeights, match="two names of one tensor"):
        load_head(write_head(tmp_path, "SpecForge", state), target)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_sliding_attention_sees_its_window_only(tmp_path, target, window):
    section = layer_section(layer_types=["sliding_attention"], sliding_window=window)
    config = config_of("speculators", transformer_layer_config=section)
    head = load_head(write_head(tmp_path, "speculators", config=config), target)
    got = check(head, target, random_state(), LAYERS, window=window)
    assert differ(got, expected_log_probs(target, random_state(), LAYERS)[0])
    assert f"sees {window} positions" in "\n".join(head.lines())


def test_a_window_that_no_layer_uses_changes_nothing(tmp_path, target):
    config = flat(sliding_window=2, use_sliding_window=False, layer_types=["full_attention"])
    check(load_head(write_head(tmp_path, "SpecForge", config=config), target), target, random_state(), LAYERS)


def test_heads_of_several_layers(tmp_path, target):
    """Further layers are ordinary ones: vLLM's and speculators' arrangement."""
    state, second = random_state(), random_state(seed=1)
    for name, tensor in second.items():
        if name.startswith("midlayer.") and "hidden_norm" not in name:
            cut = HIDDEN if any(part in name for part in ("q_proj", "k_proj", "v_proj")) else None
            state[name.replace("midlayer.", "layers.1.")] = tensor if cut is None else tensor[:, :cut]
    config = config_of("speculators", transformer_layer_config=layer_section(num_hidden_layers=2))
    head = load_head(write_head(tmp_path, "speculators", with_maps(state), config), target)
    got = check(head, target, state, LAYERS)
    assert differ(got, expected_log_probs(target, random_state(), LAYERS)[0])
    assert "decoder layers: 2" in head.lines()


def test_further_layers_in_sglangs_arrangement_are_refused(tmp_path, target):
    state = {**with_maps(random_state()), "additional_layers.0.mlp.up_proj.weight": torch.zeros(1)}
    with pytest.raises(InvalidInput, match=r"additional_layers.*SGLang"):
        load_head(write_head(tmp_path, "SpecForge", state, flat(num_hidden_layers=2)), target)


@pytest.mark.parametrize("has_bias", [True, False])
def test_eagle_1_and_2(tmp_path, target, has_bias):
    """No norm but the one before the MLP; `fc` joins embedding and state; the target's output matrix."""
    state = {
        name: tensor
        for name, tensor in random_state().items()
        if not any(part in name for part in ("hidden_norm", "input_layernorm", "lm_head"))
    }
    del state["norm.weight"]
    state["fc.weight"] = state["fc.weight"][:, : 2 * HIDDEN].contiguous() * 0.2
    for name in ("q_proj", "k_proj", "v_proj"):
        key = f"midlayer.self_attn.{name}.weight"
        state[key] = state[key][:, :HIDDEN].contiguous()
        if has_bias:
            state[key.replace("weight", "bias")] = torch.linspace(-1, 1, len(state[key]))
    if has_bias:
        state["fc.bias"] = torch.linspace(-1, 1, HIDDEN)
    stored = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in state.items()}
    stored["embed_tokens.weight"] = target.model.get_input_embeddings().weight.float()
    config = layer_section(architectures=["LlamaForCausalLM"], bias=has_bias, qkv_bias=has_bias)
    head = load_head(write_head(tmp_path, "SafeAILab", stored, config), target)
    assert head.dialect == "EAGLE-1 and 2"
    output = target.model.get_output_embeddings().weight
    flags = {"joins_embedding": True, "norm_before_output": False}
    check(head, target, {**state, "lm_head.weight": output}, (target.output_state,), **flags)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"kv_lora_rank": 4}, "kv_lora_rank = 4"),
        ({"is_causal": False}, "is_causal = False, expected True"),
        ({"logit_scale": 0.5}, "logit_scale = 0.5"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"use_sliding_window": True, "sliding_window": 4}, "use_sliding_window"),
        ({"layer_types": ["chunked_attention"]}, "layer_types"),
        ({"num_aux_hidden_states": 5}, "num_aux_hidden_states = 5"),
        (ids(0, 1, 2, use_last_layernorm=False), "use_last_layernorm = False"),
        (ids(0, 1, 2, parallel_draft_step=2), "parallel_draft_step = 2"),
        (ids(0, 1, 2, something_new=1), "eagle_config of config.json says something_new = 1"),
    ],
)
def test_keys_that_are_not_read_are_refused_by_name(tmp_path, target, changes, words):
    with pytest.raises(InvalidInput, match=words):
        load_head(write_head(tmp_path, "SpecForge", config=flat(**changes)), target)


def test_keys_without_effect_are_passed(tmp_path, target):
    """Those of published configs of each family, beside the sizes and keys tested above."""
    harmless = {
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": [1, 2],
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_window_layers": 48,
        "mlp_bias": False,
        "model_type": "llama",
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "rope_scaling": None,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.53.2",
        "use_cache": True,
        "logit_scale": 1,
    }
    more = {
        "use_aux_hidden_state": True,
        "use_input_layernorm_in_first_layer": True,
        "use_last_layernorm": True,
        "use_mtp_layernorm": False,
        "next_layer_regular": True,
        "parallel_draft_step": 1,
        "parallel_draft_heads_num_layers": 1,
    }
    config = flat(**harmless, **ids(0, 1, 2, **more))
    check(load_head(write_head(tmp_path, "SpecForge", config=config), target), target, random_state(), LAYERS)
    config = config_of(
        "speculators",
        transformer_layer_config={**layer_section(), **harmless, "tie_word_embeddings": True},
        speculators_version="0.9.0",
        speculators_config={"algorithm": "eagle3", "verifier": {"name_or_path": "toy"}},
        embed_requires_grad=False,
        norm_before_residual=False,
        norm_before_fc=False,
        fc_norm=False,
        norm_output=False,
        target_hidden_size=None,
        tie_word_embeddings=False,
    )
    head = load_head(write_head(tmp_path / "speculators", "speculators", config=config), target)
    check(head, target, random_state(), LAYERS)
