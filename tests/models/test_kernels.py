"""The fast kernels give the eager logits: of single tokens, trees, batches and texts read together.

The reference is Transformers' own pass of the same weights, whose layers the fast ones stand in for.
"""

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.models.llama.modeling_llama import LlamaRMSNorm

import speclight
from speclight.drafting.layer_skip import early_exit
from speclight.errors import InvalidInput
from speclight.models import compiled_rows, few_rows, openmp
from speclight.models.causal_lm import CausalLM
from speclight.models.compiled_rows import compiled_products
from speclight.models.few_rows import (
    FewRowsLinear,
    exchanged_products,
    halve_weights,
    products_of_one_input,
    use_products,
)
from speclight.models.lean_layers import LEAN, LeanNorm, use_lean_norms
from speclight.models.lean_models import MODELS
from speclight.models.openmp import has_openmp
from speclight.models.scored_text import ScoredText, score_together
from speclight.models.visibility import causal
from speclight.models.wrap import wrap
from speclight.trees.draft_tree import DraftTree
from toys import as_target, tiny_llama, word_tokenizer

# Float64: the same sums in another order.
PRODUCT_ATOL = 1e-11
# Float32: sums of 70 products of size 1 at most.
COMPILED_ATOL = 1e-4
# Transformers computes norms in float32 whatever the type. Bias, norm or rotation left out: more than 0.1.
# Of the compiled kernels, which are for float32, all is: observed 2e-5.
LOGITS_ATOL = {"fast": 1e-5, "compiled": 2e-4}
# Rows rounded to 16 bits, default target, logits between -20 and 30: observed 5e-3; in nats 1e-7.
DEFAULT_ATOL = 0.02
DEFAULT_NATS = 2e-6
SIZES: dict[str, Any] = {
    "vocab_size": 13,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
BUILT = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama with biases": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "llama, tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6)),
    "qwen2": lambda: Qwen2ForCausalLM(
        Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=6, max_window_layers=1)
    ),
    "gemma3, whose layers have no lean form": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=4, sliding_window=6, query_pre_attn_scalar=4)
    ),
}
TREE_PARENTS = np.array([-1, 0, 0, 1, 1, 3])


def pair(build, kernels="fast") -> tuple[CausalLM, CausalLM]:
    """The same weights, eager and fast."""
    torch.manual_seed(1)
    model = build()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.35)  # biases and norms too: none may be forgotten
    eager = as_target(model)
    if kernels == "compiled":
        eager.model.to(torch.float32)
    return eager, CausalLM(copy.deepcopy(eager.loaded), kernels)


def tree_after(text, rng):
    tokens = rng.permutation(SIZES["vocab_size"])[: len(TREE_PARENTS)]
    tokens[0] = text[-1]
    return DraftTree(tokens, TREE_PARENTS, np.zeros(len(TREE_PARENTS)))


@pytest.mark.parametrize("kernels", LOGITS_ATOL)
@pytest.mark.parametrize("architecture", BUILT)
def test_trees_of_texts_scored_together_have_the_eager_logits(architecture, kernels):
    eager, fast = pair(BUILT[architecture], kernels)
    assert fast.kernels == kernels
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, SIZES["vocab_size"], length).tolist() for length in (1, 20, 9)]
    trees = [tree_after(text, rng) for text in texts]
    logits = [
        torch.cat(score_together([ScoredText(model, text) for text in texts], trees))
        for model in (eager, fast)
    ]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=LOGITS_ATOL[fast.kernels])


@pytest.mark.parametrize("kernels", LOGITS_ATOL)
@pytest.mark.parametrize("architecture", BUILT)
def test_batches_and_states_of_layers_are_the_eager_ones(architecture, kernels):
    eager, fast = pair(BUILT[architecture], kernels)
    tokens = torch.arange(14).reshape(2, 7) % SIZES["vocab_size"]
    positions, visible = torch.arange(7).expand(2, 7), causal(7).expand(2, 7, 7)
    outputs = [
        model.forward(model.new_cache(), tokens, positions, visible, hidden_layers=(0, 2, 3, 4))
        for model in (eager, fast)
    ]
    torch.testing.assert_close(outputs[1].logits, outputs[0].logits, rtol=0, atol=LOGITS_ATOL[fast.kernels])
    torch.testing.assert_close(
        outputs[1].features, outputs[0].features, rtol=0, atol=LOGITS_ATOL[fast.kernels]
    )


@pytest.mark.parametrize("rows", [1, 2, 8, few_rows.MOST_ROWS, few_rows.MOST_ROWS + 1])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_layer_computes_what_it_did(rows, has_bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(20, 31, bias=has_bias, dtype=torch.float64)
    given = torch.randn(rows, 20, dtype=torch.float64)
    expected = layer(given)
    use_products(layer, exchanged_products)
    assert type(layer) is FewRowsLinear
    torch.testing.assert_close(layer(given), expected, rtol=0, atol=PRODUCT_ATOL)
    torch.testing.assert_close(layer(given[None]), expected[None], rtol=0, atol=PRODUCT_ATOL)


@pytest.mark.parametrize("products", [exchanged_products, compiled_products])
@pytest.mark.parametrize("rows", [*range(1, 12), 16, compiled_rows.MOST_ROWS, compiled_rows.MOST_ROWS + 1])
def test_products_are_the_usual_ones_side_by_side(products, rows):
    torch.manual_seed(rows)
    given, weights = torch.randn(rows, 70), [torch.randn(out, 70) for out in (33, 1, 100)]
    expected = torch.cat([given.double() @ weight.double().T for weight in weights], 1)
    made = products(given, weights)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=COMPILED_ATOL)


def test_compiled_products_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    given, weight = torch.randn(5, 70), torch.randn(131, 70)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(compiled_products(given, [weight]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


@pytest.mark.parametrize("rows", [1, 3, 8, compiled_rows.MOST_ROWS, compiled_rows.MOST_ROWS + 1])
def test_weights_of_bfloat16_give_the_products_of_the_float32_that_they_are(rows):
    torch.manual_seed(rows)
    given, other = torch.randn(rows, 70), torch.randn(9, 70)
    half = torch.randn(131, 70).bfloat16()
    made = compiled_products(given, [other, half, half])
    assert made.dtype == torch.float32
    assert torch.equal(made, compiled_products(given, [other, half.float(), half.float()]))


@pytest.mark.parametrize("rows", [2, few_rows.MOST_ROWS + 1])
@pytest.mark.parametrize("products", [exchanged_products, compiled_products])
def test_weights_that_bfloat16_holds_exactly_are_kept_so_and_no_others(products, rows):
    torch.manual_seed(0)
    layers = torch.nn.ModuleList([torch.nn.Linear(20, out, bias=out == 7) for out in (7, 5)])
    layers[0].weight = torch.nn.Parameter(layers[0].weight.detach().bfloat16().float())
    use_products(layers, products)
    given = torch.randn(1, rows, 20)
    expected = [layer(given) for layer in layers]
    halve_weights(layers)
    assert [layer.weight.dtype for layer in layers] == [torch.bfloat16, torch.float32]
    for made in ([layer(given) for layer in layers], products_of_one_input(given, *layers)):
        for output, before in zip(made, expected, strict=True):
            torch.testing.assert_close(output, before, rtol=0, atol=COMPILED_ATOL)


def test_gradients_flow_through_products_that_are_not_compiled():
    torch.manual_seed(0)
    given, weight = torch.randn(3, 8), torch.randn(5, 8, requires_grad=True)
    compiled_products(given, [weight]).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, given.sum(0).expand(5, 8), rtol=0, atol=COMPILED_ATOL)


def test_what_the_loops_cannot_read_is_computed_by_libraries():
    torch.manual_seed(0)
    given, weight = torch.randn(8, 3).T, torch.randn(8, 5).T
    torch.testing.assert_close(
        compiled_products(given, [weight]), given @ weight.T, rtol=0, atol=COMPILED_ATOL
    )
    with pytest.raises(RuntimeError, match="shape"):
        compiled_products(torch.randn(2, 7), [torch.randn(5, 8)])


def test_compiled_kernels_are_left_out_where_there_is_no_openmp(monkeypatch):
    assert has_openmp()
    monkeypatch.setattr(openmp, "_library", lambda: None)
    assert wrap(tiny_llama(), word_tokenizer(3), kernels="auto").kernels == "fast"
    with pytest.warns(UserWarning, match="GNU's OpenMP, got a torch without it"):
        assert wrap(tiny_llama(), word_tokenizer(3), kernels="compiled").kernels == "eager"


def test_parameters_stay_what_and_where_they_are():
    model = tiny_llama()
    before = {name: (parameter.data_ptr(), parameter.clone()) for name, parameter in model.named_parameters()}
    wrap(model, word_tokenizer(3), kernels="auto")
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    for name, (place, value) in before.items():
        assert after[name].data_ptr() == place
        assert torch.equal(after[name], value)


def test_an_early_exit_of_a_fast_target_is_fast_and_shares_its_weights():
    eager, fast = pair(BUILT["llama"])
    exits = [early_exit(target, 2) for target in (eager, fast)]
    assert exits[1].kernels == "fast"
    assert {p.data_ptr() for p in exits[1].model.parameters()} < {
        p.data_ptr() for p in fast.model.parameters()
    }
    logits = [model.read(model.new_cache(), [1, 2, 3, 4]).logits for model in exits]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=LOGITS_ATOL[fast.kernels])
    whole = [model.read(model.new_cache(), [1, 2, 3, 4]).logits for model in (eager, fast)]
    torch.testing.assert_close(whole[1], whole[0], rtol=0, atol=LOGITS_ATOL[fast.kernels])


def test_a_model_made_fast_still_generates_by_itself():
    eager, fast = pair(BUILT["llama"])
    ids = torch.tensor([[0, 1, 2, 3]])
    texts = [
        target.model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
        for target in (eager, fast)
    ]
    assert torch.equal(texts[1], texts[0])


@pytest.mark.parametrize("architecture", ["llama, tied", "mistral", "qwen2"])
def test_a_lean_model_computes_what_its_layers_did_under_transformers(architecture, tmp_path):
    """Tree and states alike; and it is saved as what it was."""
    _, fast = pair(BUILT[architecture])
    made, lean = type(fast.model).__mro__[2], type(fast.model)
    assert made in MODELS
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    tree, found = tree_after(text, np.random.default_rng(0)), list[torch.Tensor]()
    for kind in (lean, made):
        fast.model.__class__ = kind
        scored = ScoredText(fast, text, hidden_layers=(1, 3))
        found += [scored.score(tree), scored.features]
    torch.testing.assert_close(found[:2], found[2:], rtol=0, atol=LOGITS_ATOL["fast"])
    fast.model.__class__ = lean
    fast.model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [made.__name__]


def test_a_call_in_another_form_is_transformers_own():
    eager, fast = pair(BUILT["llama"])
    ids = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    asked = [
        model.model(ids, attention_mask=mask, output_hidden_states=True, labels=ids)
        for model in (eager, fast)
    ]
    torch.testing.assert_close(asked[1].loss, asked[0].loss, rtol=0, atol=LOGITS_ATOL["fast"])
    torch.testing.assert_close(
        asked[1].hidden_states[-1], asked[0].hidden_states[-1], rtol=0, atol=LOGITS_ATOL["fast"]
    )


def test_kernels_are_eager_where_fast_ones_are_not_made_for_it():
    model = tiny_llama().to(torch.bfloat16)
    assert wrap(model, word_tokenizer(3), kernels="auto").kernels == "eager"
    with pytest.warns(UserWarning, match="float32 or float64 on a CPU with MKL, got bfloat16"):
        assert wrap(model, word_tokenizer(3), kernels="fast").kernels == "eager"
    assert not any(isinstance(module, (FewRowsLinear, *LEAN.values())) for module in model.modules())


def test_a_wrapped_model_is_left_as_it_is_unless_asked_for():
    model = tiny_llama()
    assert wrap(model, word_tokenizer(3)).kernels == "eager"
    assert not any(isinstance(module, FewRowsLinear) for module in model.modules())


def test_an_unknown_word_is_refused_by_its_argument():
    with pytest.raises(InvalidInput, match="expected one of auto, graphs, compiled, fast, eager") as refused:
        wrap(tiny_llama(), word_tokenizer(3), kernels="quick")  # pyright: ignore[reportArgumentType]
    assert refused.value.argument == "kernels"


@pytest.mark.slow  # the README's text, token by token, is what these kernels make of it in every run
@pytest.mark.model
def test_the_default_target_scores_a_tree_as_eager_does(default_target):
    fast, eager = default_target, speclight.load(kernels="eager")
    assert (fast.kernels, eager.kernels) == ("compiled", "eager")
    rng = np.random.default_rng(0)
    text = eager.tokenizer.encode("The speed of light is the same for every observer, whatever their")
    tree = DraftTree(
        np.array([text[-1], *rng.integers(1000, 40000, 5)]), TREE_PARENTS, np.zeros(len(TREE_PARENTS))
    )
    logits = [ScoredText(model, text).score(tree) for model in (eager, fast)]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=DEFAULT_ATOL)
    given, fast_ones = (torch.log_softmax(one.double(), dim=-1) for one in logits)
    assert float((given.exp() * (given - fast_ones)).sum(-1).max()) < DEFAULT_NATS


def test_a_lean_norm_is_the_usual_one():
    torch.manual_seed(0)
    usual = torch.nn.ModuleList([LlamaRMSNorm(24, eps=0.1), LlamaRMSNorm(24), torch.nn.LayerNorm(24)])
    for norm in usual:
        norm.get_parameter("weight").data.uniform_(0.5, 2.0)
    lean = copy.deepcopy(usual)
    use_lean_norms(lean)
    assert [type(norm) for norm in lean] == [LeanNorm, LeanNorm, torch.nn.LayerNorm]
    given = torch.randn(2, 3, 24)
    for one, other in zip(lean, usual, strict=True):
        torch.testing.assert_close(one(given), other(given))
