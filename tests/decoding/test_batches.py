"""Each text of a batch is the text its prompt gives alone, token by token and call by call, in fewer calls.

Batches here are ragged in every respect: prompts of 1 to 12 tokens, trees of every size up to the budget,
texts that end for different reasons at different times, fewer texts under way than prompts.
"""

import json
import warnings
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel

import speclight
from cases import thinned
from speclight.decoding.decode import DecodeRequest, decode_batch
from speclight.decoding.fitting_drafters import drafters_for
from speclight.decoding.generate import generate_batch_from_ids, generate_from_ids
from speclight.decoding.running_text import RunningText
from speclight.decoding.settings import DecodeSettings
from speclight.drafting import drafters
from speclight.drafting.drafter_choices import (
    Eagle3,
    LayerSkip,
    Lookahead,
    Medusa,
    Model,
    NGram,
    Oracle,
    Plain,
    TwoStage,
)
from speclight.drafting.drafters import new_drafter
from speclight.drafting.guarded import DraftingFailed
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.tree_choices import Batch, Chain
from speclight.errors import BrokenModelOutput, ContextOverflow, InvalidInput
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES
from toy_heads import write_head
from toys import as_target, tiny_llama, tiny_target

VOCABULARY = 7
PROMPTS = [[1, 2, 3, 1, 2, 3, 1, 2], [4], [5, 6, 5, 6, 5], [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]]
SETTINGS = DecodeSettings(node_budget=6, max_tokens=8, seed=5)
GREEDY = SamplingSettings(0.0)


def target_of(name):
    if name == "llama":
        return tiny_target(VOCABULARY, seed=4)
    torch.manual_seed(2)
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "num_attention_heads": 4}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if name == "gpt2":
        config = GPT2Config(hidden_size=16, num_hidden_layers=2, **sizes, **ends)
        model = GPT2LMHeadModel(config)
    else:
        grouped = {"intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 4}
        kinds = ["sliding_attention", "full_attention"]
        layers = {"num_hidden_layers": 2, "layer_types": kinds, "sliding_window": 4}
        model = Gemma3ForCausalLM(
            Gemma3TextConfig(hidden_size=16, query_pre_attn_scalar=4, **sizes, **ends, **grouped, **layers)
        )
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.5)
    return as_target(model)


def alone(target, prompts, make_drafter, rule, settings):
    """Prompt number i by itself, with the seed the batch gives it."""
    return [
        generate_from_ids(
            target,
            prompt,
            make_drafter(),
            RULES[rule],
            DecodeSettings(
                settings.node_budget,
                settings.max_tokens,
                settings.seed + number,
                settings.sampling,
                repetition_penalty=settings.repetition_penalty,
                stop_strings=settings.stop_strings,
            ),
        )
        for number, prompt in enumerate(prompts)
    ]


def assert_same(batch, expected):
    for joint, single in zip(batch, expected, strict=True):
        assert joint.token_ids == single.token_ids
        assert joint.text == single.text
        assert joint.finish_reason == single.finish_reason
        assert [call.emitted_tokens for call in joint.calls] == [call.emitted_tokens for call in single.calls]
        assert [call.tree.tokens.tolist() for call in joint.calls] == [
            call.tree.tokens.tolist() for call in single.calls
        ]


def compare(target, drafter, rule, settings, tree=None, batch_size=3, prompts=PROMPTS):
    """The batch, after comparing it with each prompt alone; its drafters are made from one choice."""
    given = drafters_for(target, drafter, RULES[rule], settings.sampling, tree, len(prompts))
    batch = generate_batch_from_ids(target, prompts, given, RULES[rule], settings, batch_size)
    expected = alone(
        target, prompts, lambda: new_drafter(drafter, target, tree, settings.sampling), rule, settings
    )
    assert_same(batch, expected)
    return batch


@pytest.mark.parametrize(
    ("drafter", "name", "temperature"),
    thinned(
        [
            (NGram(), "llama", 1.0),
            (LayerSkip(), "gemma3", 0.0),
            (NGram(), "gpt2", 1.0),
            *product([NGram(), LayerSkip()], ["llama", "gemma3", "gpt2"], [0.0, 1.0]),
        ],
        3,
    ),
)
def test_every_architecture_writes_each_prompts_own_text(name, drafter, temperature):
    settings = DecodeSettings(6, 10, seed=3, sampling=SamplingSettings(temperature))
    batch = compare(target_of(name), drafter, "target_sample", settings)
    assert len({len(call.path) for one in batch for call in one.calls}) > 1
    if drafter == NGram():  # drafts as much as it knows, the others as much as they may
        assert len({len(call.tree) for one in batch for call in one.calls}) > 1


@pytest.mark.parametrize(
    ("drafter", "rule", "tree"),
    thinned(
        [
            (Plain(), "target_sample", None),
            (Lookahead(), "traversal", None),
            (NGram(), "k_seq", Batch(kind="with_replacement")),
            (LayerSkip(1), "race", Chain(kind="race")),
            (Oracle(), "block", Chain()),
            (TwoStage(LayerSkip(1)), "target_sample", None),
            (LayerSkip(1), "rejection", Chain(kind="with_replacement")),
            (LayerSkip(1), "rejection_without_replacement", Chain(kind="without_replacement")),
            (LayerSkip(1), "traversal", Batch(kind="with_replacement")),
        ],
        4,
    ),
)
def test_every_drafter_and_rule_writes_each_prompts_own_text(drafter, rule, tree):
    compare(tiny_target(VOCABULARY, seed=4), drafter, rule, SETTINGS, tree)


@pytest.mark.parametrize("batch_size", thinned([2, 1, 4, 9]))
def test_how_many_are_under_way_changes_nothing(batch_size):
    settings = DecodeSettings(6, 16, seed=5, repetition_penalty=1.3)
    compare(tiny_target(VOCABULARY, seed=4), NGram(), "target_sample", settings, None, batch_size)


def test_a_drafting_model_is_loaded_once(monkeypatch):
    target, other = tiny_target(VOCABULARY, seed=4, layers=1), tiny_llama(VOCABULARY, seed=9, layers=1)
    loads = []

    def load(weights, **options):
        loads.append(weights)
        return as_target(other).loaded

    monkeypatch.setattr(drafters, "load_weights", load)
    given = drafters_for(target, Model("w"), RULES["target_sample"], SamplingSettings(), None, 4)
    batch = generate_batch_from_ids(target, PROMPTS, given, RULES["target_sample"], SETTINGS)
    assert loads == ["w"]
    assert any(len(call.path) > 1 for one in batch for call in one.calls)
    expected = alone(
        target, PROMPTS, lambda: new_drafter(Model(as_target(other)), target), "target_sample", SETTINGS
    )
    assert_same(batch, expected)


def test_a_head_that_reads_hidden_states(tmp_path):
    target = as_target(tiny_llama(12, seed=1, layers=4))
    head = Eagle3(str(write_head(tmp_path, "SpecForge")))
    batch = compare(target, head, "target_sample", SETTINGS)
    assert any(len(call.tree) > 1 for one in batch for call in one.calls)


def test_heads_that_read_the_last_state(tmp_path):
    target, hidden = as_target(tiny_llama(VOCABULARY, seed=4)), 16
    generator = torch.Generator().manual_seed(0)
    shapes = {"linear.weight": (hidden, hidden), "linear.bias": (hidden,)}
    state = {
        f"{head}.0.{name}": torch.randn(shape, generator=generator)
        for head in range(2)
        for name, shape in shapes.items()
    }
    outputs = {f"{head}.1.weight": torch.randn(VOCABULARY, hidden, generator=generator) for head in range(2)}
    save_file({**state, **outputs}, tmp_path / "medusa_lm_head.safetensors")
    config = {"medusa_num_heads": 2, "medusa_num_layers": 1, "base_model_name_or_path": "toy"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    batch = compare(target, Medusa(str(tmp_path)), "target_sample", SETTINGS)
    assert any(len(call.tree) > 1 for one in batch for call in one.calls)


def passes_of(target):
    sizes = []
    target.model.register_forward_pre_hook(
        lambda model, args, options: sizes.append(options["input_ids"].shape[1]), with_kwargs=True
    )
    return sizes


def test_one_target_call_serves_all_texts():
    target, rule = tiny_target(VOCABULARY, seed=4), RULES["target_sample"]
    prompts = [[number] for number in range(5)]  # one token: nothing is read beforehand
    sizes = passes_of(target)
    given = [new_drafter(NGram(), target) for _ in prompts]
    batch = generate_batch_from_ids(target, prompts, given, rule, SETTINGS)
    assert len(sizes) == max(len(one.calls) for one in batch)
    # No node is scored that nobody drafted: trees are not padded to one size.
    assert sum(sizes) == sum(len(call.tree) for one in batch for call in one.calls)


def test_each_cache_holds_its_accepted_tokens_and_no_more():
    target, rule = tiny_target(VOCABULARY, seed=4), RULES["target_sample"]
    held = []
    sound = RunningText.take

    def take(text, *given):
        trace = sound(text, *given)
        held.append((text.scored.cache.filled, len(text.scored.token_ids) - 1))
        return trace

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunningText, "take", take)
        given = [new_drafter(LayerSkip(), target) for _ in PROMPTS]
        generate_batch_from_ids(target, PROMPTS, given, rule, SETTINGS)
    assert len(held) > 10
    assert all(filled == committed for filled, committed in held)


def test_texts_end_for_reasons_of_their_own():
    """End of text, a stop string, the length and a full window, in one batch."""
    target = tiny_target(VOCABULARY, seed=4, window=24, end_of_text=frozenset({0}))
    settings = DecodeSettings(6, 12, stop_strings=("t6 t2",))
    prompts = [[1, 2, 3] * 7, *PROMPTS]
    batch = compare(target, LayerSkip(), "target_sample", settings, prompts=prompts)
    assert {one.finish_reason for one in batch} == {"context_window", "end_of_text", "stop_string", "length"}


def test_a_prompt_that_fills_the_window_is_named_before_anything_is_decoded():
    target = tiny_target(VOCABULARY, window=12)
    sizes = passes_of(target)
    given = [NoDrafter(), NoDrafter()]
    with pytest.raises(ContextOverflow, match="prompt 1 has 12 tokens"):
        generate_batch_from_ids(target, [[1], [1] * 12], given, RULES["target_sample"], SETTINGS)
    assert sizes == []


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("prompt", [[6, 1, 2], [1, 2, 6]])
def test_broken_logits_are_laid_at_the_right_door(implementation, prompt):
    """The bad token spoils what is read of the prompt, or the first call's root; eager attention sees all."""
    model = tiny_llama(VOCABULARY, seed=4)
    model.set_attn_implementation(implementation)
    target = as_target(model)
    with torch.no_grad():
        weight = target.model.get_input_embeddings().weight
        assert isinstance(weight, torch.Tensor)
        weight[6] = torch.nan
    given = [NoDrafter() for _ in range(3)]
    with pytest.raises(BrokenModelOutput, match="decoding prompt 1: toy returned NaN"):
        generate_batch_from_ids(target, [[1, 2], prompt, [3]], given, RULES["target_sample"], SETTINGS)


class Failing(NoDrafter):
    def propose(self, node_budget, noise):
        raise ValueError("out of ideas")


def test_a_drafter_that_fails_costs_its_own_text_speed_alone():
    target = tiny_target(VOCABULARY, seed=4)
    settings = DecodeSettings(6, 12, seed=5, sampling=GREEDY)
    given = [new_drafter(NGram(), target), Failing(), new_drafter(NGram(), target)]
    with pytest.warns(DraftingFailed, match="out of ideas"):
        batch = generate_batch_from_ids(target, PROMPTS[:3], given, RULES["target_sample"], settings)
    plain = alone(target, PROMPTS[:3], NoDrafter, "target_sample", settings)
    assert [one.token_ids for one in batch] == [one.token_ids for one in plain]
    assert len(batch[1].calls) == 12
    assert len(batch[0].calls) < 12


def test_traces_tell_texts_apart_and_their_seconds_add_up():
    target = tiny_target(VOCABULARY, seed=4)
    requests = [DecodeRequest(prompt, NoDrafter(), SETTINGS) for prompt in PROMPTS[:2]]
    traces = list(decode_batch(target, RULES["target_sample"], requests))
    assert [trace.text_number for trace in traces] == [0, 1] * SETTINGS.max_tokens
    assert [trace.prefill_seconds > 0.0 for trace in traces[:4]] == [True, True, False, False]
    for first, second in zip(traces[::2], traces[1::2], strict=True):
        assert first.seconds.target == second.seconds.target


def test_drafter_objects_must_be_one_each():
    target = tiny_target(VOCABULARY)
    one = NoDrafter()
    for given in ([one, one], [one]):
        with pytest.raises(InvalidInput, match="a different one for each"):
            drafters_for(target, given, RULES["target_sample"], SamplingSettings(), None, 2)
    with pytest.raises(InvalidInput, match="batch_size must be >= 1, got 0"):
        list(decode_batch(target, RULES["target_sample"], [], batch_size=0))


def test_the_public_function_gives_what_generate_gives_with_the_seed_of_each_prompt():
    target = tiny_target(VOCABULARY, seed=4)
    prompts = ["t1 t2 t3 t1 t2", "t4", "t5 t6 t5"]
    options = {"max_tokens": 14, "temperature": 0.8, "top_k": 4, "top_p": 0.9, "stop": ("t3 t0",)}
    calls = []
    batch = speclight.generate_batch(target, prompts, seed=7, batch_size=2, on_call=calls.append, **options)
    for number, (prompt, joint) in enumerate(zip(prompts, batch, strict=True)):
        single = speclight.generate(target, prompt, seed=7 + number, **options)
        assert (joint.text, joint.token_ids) == (single.text, single.token_ids)
        assert [call for call in calls if call.text_number == number] == list(joint.calls)
    assert speclight.generate_batch(target, []) == []
    assert speclight.generate(target, "t1", drafter=NoDrafter(), max_tokens=3).tokens_per_call == 1.0


def test_a_batch_behind_transformers_generate_decodes_rows_together():
    model = tiny_llama(VOCABULARY, seed=4, window=64).double()
    rows = torch.tensor([[0, 0, 1, 2, 3, 1, 2], [4, 5, 6, 1, 2, 3, 1]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])
    calls = []

    def run(**options):
        torch.manual_seed(3)
        return model.generate(
            rows,
            attention_mask=mask,
            pad_token_id=0,
            max_new_tokens=10,
            do_sample=True,
            custom_generate=speclight.transformers_generate,
            **options,
        ).tolist()

    together = run(on_call=calls.append)
    assert {call.text_number for call in calls} == {0, 1}
    assert [call.text_number for call in calls[:2]] == [0, 1]
    assert run(batch_size=1) == together
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.shape(run(drafter=[NoDrafter(), NoDrafter()])) == (2, 17)
    with pytest.raises(InvalidInput, match="a different one for each"):
        run(drafter=NoDrafter())
