"""EAGLE-3 heads against a one-page reference, in three dialects, and in the loop."""

import numpy as np
import pytest
import torch

from eagle3_reference import reference_path
from speclight.decoding.decode import DecodeSettings
from speclight.decoding.generate import generate_from_ids
from speclight.drafting.drafter_choices import Eagle3, Plain
from speclight.drafting.drafters import new_drafter
from speclight.drafting.eagle3.head_pass import head_pass
from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.models.sampling import SamplingSettings
from speclight.models.static_passes import StaticPasses
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import GrowingTree, grown
from speclight.verification.rules import rule_named
from toy_heads import (
    HEADS,
    KV_HEADS,
    LAYERS,
    TARGET_IDS,
    VOCABULARY,
    config_of,
    random_state,
    write_head,
)
from toys import as_target, tiny_llama

DIALECTS = ("SafeAILab", "SpecForge", "speculators")
# Transformers' norms and rotary tables are float32 whatever the weights are; states reach the hundreds.
FLOAT32_ATOL = 1e-4
# Float64 against float64.
FLOAT64_ATOL = 1e-9
TEXT = [1, 5, 2, 9, 4]


def six_layers(dtype=torch.float64):
    """A target for which the EAGLE authors' rule 2, L // 2, L - 3 reads one layer twice."""
    target = as_target(tiny_llama(VOCABULARY, layers=6))
    target.model.to(dtype)
    return target


def law_of(head):
    return Eagle3Law("eagle3", head.network, head.target_ids)


def features_of(target, tokens, layers):
    return target.prefill(target.new_cache(), tokens[:-1], layers)


def drafted_log_probs(law, tokens, features, path):
    """[steps + 1, draft vocabulary] log-probabilities along one path, drafted token by token."""
    law.begin(tokens, features)
    known, node, rows = GrowingTree(tokens[-1]), 0, []
    for token in [*path, None]:
        rows.append(law.laws(known, [node])[0].log_probs)
        if token is not None:
            node = known.add(node, np.array([token]), np.zeros(1))[0]
    return np.stack(rows)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("pickled", [False, True])
def test_every_dialect_equals_the_one_page_reference(tmp_path, dialect, pickled):
    target, state, path = six_layers(torch.float32), random_state(), [3, 11, 0, 8]
    head = load_head(write_head(tmp_path / dialect, dialect, pickled=pickled), target)
    layers = (2, 3, 3) if dialect == "SafeAILab" else LAYERS
    assert head.dialect == dialect
    assert head.network.conventions.layers == layers
    np.testing.assert_array_equal(head.target_ids, TARGET_IDS)
    features = features_of(target, TEXT, layers)
    embedding = target.model.get_input_embeddings().weight
    logits, _ = reference_path(state, embedding, features, TEXT, HEADS, KV_HEADS, path)
    expected = torch.log_softmax(logits, -1).numpy()
    np.testing.assert_allclose(
        drafted_log_probs(law_of(head), TEXT, features, path), expected, rtol=0, atol=FLOAT32_ATOL
    )


@pytest.mark.parametrize(
    ("dialect", "changes", "flags"),
    [
        ("speculators", {"norm_before_residual": True}, {"residual_after_norm": True}),
        ("SafeAILab", {"norm_before_residual": True}, {"residual_after_norm": True}),
        ("SpecForge", {"norm_before_residual": True}, {"residual_after_norm": True}),
        ("SafeAILab", {"norm_output": True}, {"normed_recurrence": True}),
        ("SpecForge", {"norm_output": True}, {"normed_recurrence": True}),
        ("speculators", {"norm_output": True}, {"normed_recurrence": True}),
    ],
)
def test_flags_mean_what_their_dialect_means(tmp_path, dialect, changes, flags):
    """Each flag changes the law, so that a flag without effect fails."""
    target, path = six_layers(), [3, 11]
    state = {name: tensor.double() for name, tensor in random_state().items()}
    head = load_head(write_head(tmp_path, dialect, config=config_of(dialect, **changes)), target)
    features = features_of(target, TEXT, head.network.conventions.layers)
    embedding = target.model.get_input_embeddings().weight
    got = drafted_log_probs(law_of(head), TEXT, features, path)
    plain, flagged = (
        torch.log_softmax(reference_path(state, embedding, features, TEXT, HEADS, KV_HEADS, path, **f)[0], -1)
        for f in ({}, flags)
    )
    np.testing.assert_allclose(got, flagged.numpy(), rtol=0, atol=FLOAT32_ATOL)
    assert np.abs(got - plain.numpy()).max() > 100 * FLOAT32_ATOL


def test_tree_drafting_equals_path_by_path(tmp_path):
    """Every node of a tree of 12 has the law that a chain down to it would have."""
    target = six_layers()
    head = load_head(write_head(tmp_path, "SpecForge"), target)
    features = features_of(target, TEXT, LAYERS)
    law = law_of(head)
    law.begin(TEXT, features)
    draft = grown(BestFirstGrowth(TEXT[-1], 12), law.laws)
    assert max(draft.tree.depths) >= 3
    for path, node_law in draft.laws.items():
        chain = drafted_log_probs(law_of(head), TEXT, features, list(path))
        np.testing.assert_allclose(node_law.log_probs, chain[-1], rtol=0, atol=FLOAT64_ATOL)


def test_a_chain_asked_for_at_once_has_the_laws_of_one_asked_for_node_by_node(tmp_path):
    target = six_layers()
    head = load_head(write_head(tmp_path, "SpecForge"), target)
    features = features_of(target, TEXT, LAYERS)
    law, known, nodes = law_of(head), GrowingTree(TEXT[-1]), [0]
    law.begin(TEXT, features)
    for token in (3, 9, 7):  # 9 is none of the head's own tokens
        nodes += known.add(nodes[-1], np.array([token]), np.zeros(1))
    at_once = np.stack([each.log_probs for each in law.laws(known, nodes)])
    chain = drafted_log_probs(law_of(head), TEXT, features, [3, 9, 7])
    np.testing.assert_allclose(at_once, chain, rtol=0, atol=FLOAT64_ATOL)


def test_text_extended_in_pieces_equals_text_at_once(tmp_path):
    """Drafted slots are rolled back: after drafts and two extensions the law is that of a fresh start."""
    target = six_layers()
    head = load_head(write_head(tmp_path, "SpecForge"), target)
    tokens = [*TEXT, 3, 0, 7, 8]
    features = features_of(target, tokens, LAYERS)
    law = law_of(head)
    law.begin(tokens[:5], features[:4])
    for start, end in ((5, 6), (6, 9)):
        grown(BestFirstGrowth(tokens[start - 1], 6), law.laws)
        law.extend(tokens[start:end], features[start - 1 : end - 1])
    got = law.laws(GrowingTree(tokens[-1]), [0])[0].log_probs
    fresh = drafted_log_probs(law_of(head), tokens, features, [])[0]
    np.testing.assert_allclose(got, fresh, rtol=0, atol=FLOAT64_ATOL)


def test_training_unrolls_what_drafting_does(tmp_path):
    """Step j at position p is the state after j drafted tokens of the text whose features end at p - j."""
    target = six_layers()
    head = load_head(write_head(tmp_path, "SpecForge"), target)
    state = {name: tensor.double() for name, tensor in random_state().items()}
    features = features_of(target, TEXT, LAYERS)
    embedding = target.model.get_input_embeddings().weight
    steps = list(unrolled_states(head.network, torch.tensor([TEXT[1:]]), features[None], 3))
    for step, states in enumerate(steps):
        for position in range(step, len(TEXT) - 1):
            known = position - step + 2
            _, expected = reference_path(
                state,
                embedding,
                features[: known - 1],
                TEXT[:known],
                HEADS,
                KV_HEADS,
                TEXT[known : known + step],
            )
            np.testing.assert_allclose(
                states[0, position].numpy(), expected[-1].numpy(), rtol=0, atol=FLOAT32_ATOL
            )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_loop_with_a_head_is_lossless(tmp_path, temperature):
    """Temperature 0: equal texts. Temperature 1: a fixed seed gives a text of the right length."""
    target = six_layers()
    folder = str(write_head(tmp_path, "SpecForge"))
    settings = DecodeSettings(node_budget=6, max_tokens=30, sampling=SamplingSettings(temperature))
    rule = rule_named("target_sample")
    plain = generate_from_ids(target, TEXT, new_drafter(Plain(), target), rule, settings)
    drafter = new_drafter(Eagle3(folder), target)
    drafted = generate_from_ids(target, TEXT, drafter, rule, settings)
    assert len(drafted.token_ids) == 30
    assert any(len(call.tree) > 1 for call in drafted.calls)
    if temperature == 0.0:
        assert drafted.token_ids == plain.token_ids


def test_a_prompt_of_one_token_drafts_nothing_at_first(tmp_path):
    target = six_layers()
    drafter = new_drafter(Eagle3(str(write_head(tmp_path, "SpecForge"))), target)
    settings = DecodeSettings(node_budget=4, max_tokens=8, sampling=SamplingSettings(0.0))
    calls = generate_from_ids(target, [3], drafter, rule_named("target_sample"), settings).calls
    assert len(calls[0].tree) == 1
    assert len(calls[1].tree) == 4


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_passes_over_buffers_that_stay_give_the_same_laws(tmp_path, dialect, device):
    """On CUDA they are recorded; a tree is drafted, part of it accepted, and another tree drafted."""
    target = six_layers()
    there = as_target(target.model.to(device))
    folder = write_head(tmp_path / dialect, dialect)
    head = load_head(folder, there)
    passes = StaticPasses(lambda cache, inputs, _: head_pass(head.network, cache, inputs, None), 1)
    laws = [law_of(head), Eagle3Law("eagle3", head.network, head.target_ids, passes)]
    text = [1, 5, 2, 9, 4, 3, 7, 8]
    features = features_of(there, text, head.network.conventions.layers)
    known = GrowingTree(text[4])
    first = known.add(0, np.array([3, 6]), np.zeros(2))
    second = [
        *known.add(first[0], np.array([7]), np.zeros(1)),
        *known.add(first[1], np.array([2]), np.zeros(1)),
    ]
    after = GrowingTree(text[7])
    below = after.add(0, np.array([1, 2, 3]), np.zeros(3))
    found = []
    for law in laws:
        law.begin(text[:5], features[:4])
        rows = [law.laws(known, nodes) for nodes in ([0], first, second)]
        law.extend(text[5:], features[4:7])
        rows += [law.laws(after, nodes) for nodes in ([0], below)]
        found.append(np.stack([one.log_probs for level in rows for one in level]))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=FLOAT32_ATOL)
    assert laws[1]._cache.path_layers[0].slab.kept
