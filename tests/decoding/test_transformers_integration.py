"""`model.generate(..., custom_generate=speclight.transformers_generate)`: the same texts, in fewer calls."""

from types import SimpleNamespace

import pytest
import torch
from transformers import GenerationConfig

import speclight
from cases import thinned
from speclight.decoding.conversation import Conversation
from speclight.errors import InvalidInput
from toys import tiny_llama, word_tokenizer

VOCABULARY = 7
PROMPT = [1, 2, 3, 1, 2]


@pytest.fixture
def model():
    return tiny_llama(VOCABULARY, seed=4, window=128).double()


def generated(model, rows=(PROMPT,), **options):
    ids = torch.tensor(list(rows))
    mask = options.pop("attention_mask", torch.ones_like(ids))
    return model.generate(ids, attention_mask=mask, pad_token_id=0, **options)


OPTIONS = [
    {"max_new_tokens": 40, "repetition_penalty": 1.7},
    {"max_new_tokens": 40},
    {"max_new_tokens": 40, "no_repeat_ngram_size": 3},
    {"max_new_tokens": 40, "eos_token_id": 5},
    {"max_new_tokens": 40, "eos_token_id": 5, "min_new_tokens": 20},
    {"max_length": 17},
]
BY_NGRAM, BY_LAYER_SKIP = ([(drafter, options) for options in OPTIONS] for drafter in ("ngram", "layer_skip"))


@pytest.mark.parametrize(("drafter", "options"), thinned([*BY_NGRAM, *BY_LAYER_SKIP], 1 + len(OPTIONS)))
def test_greedy_texts_are_those_of_plain_generate(model, drafter, options):
    calls = []
    plain = generated(model, do_sample=False, **options)
    drafted = generated(
        model,
        do_sample=False,
        custom_generate=speclight.transformers_generate,
        drafter=drafter,
        on_call=calls.append,
        **options,
    )
    assert drafted.tolist() == plain.tolist()
    assert len(calls) <= plain.shape[1] - len(PROMPT)


def test_drafting_saves_calls(model):
    calls = []
    text = generated(
        model,
        do_sample=False,
        max_new_tokens=60,
        custom_generate=speclight.transformers_generate,
        on_call=calls.append,
    )
    assert text.shape == (1, len(PROMPT) + 60)
    assert len(calls) < 60


def test_padded_batches_and_several_sequences(model):
    rows = [[0, 0, 1, 2, 3], [4, 5, 6, 1, 2]]
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    options = {"attention_mask": mask, "do_sample": False, "max_new_tokens": 12, "repetition_penalty": 1.3}
    plain = generated(model, rows, **options)
    drafted = generated(model, rows, custom_generate=speclight.transformers_generate, **options)
    assert drafted.tolist() == plain.tolist()


def test_sampling_follows_torch_seeds_and_all_warpers(model):
    def sampled(seed, **options):
        torch.manual_seed(seed)
        return generated(
            model,
            do_sample=True,
            max_new_tokens=15,
            custom_generate=speclight.transformers_generate,
            return_dict_in_generate=True,
            **options,
        ).sequences.tolist()

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
    greedy = generated(model, do_sample=False, max_new_tokens=15).tolist()
    assert sampled(1, top_k=1) == greedy
    assert sampled(1, temperature=1e-6) == greedy


@pytest.mark.slow
def test_the_sampled_law_is_generates_own():
    """First two tokens under temperature, top-k and penalty: exact law by plain calls, 600 texts.

    Chi-square of at most 8 cells, pooled to 10 expected; false alarm 1e-4, once, with fixed seeds. A law at
    total variation 0.15 has noncentrality of at least 54 and is noticed with probability above 0.99.
    """
    model = tiny_llama(VOCABULARY, seed=4).double()
    config = GenerationConfig(do_sample=True, temperature=1.4, top_k=3, repetition_penalty=1.5)
    torch.manual_seed(0)
    drawn = generated(
        model,
        [PROMPT] * 600,
        generation_config=config,
        max_new_tokens=2,
        custom_generate=speclight.transformers_generate,
    )[:, len(PROMPT) :].tolist()
    exact = exact_pairs(model)
    assert {tuple(pair) for pair in drawn} <= set(exact)
    assert pooled_p_value(drawn, exact) > 1e-4


def exact_pairs(model):
    """Law of the next two tokens, computed from logits by hand: penalty, temperature, top-k, softmax."""

    def law(text):
        scores = model(torch.tensor([text]), use_cache=False).logits[0, -1].detach()
        for token in set(text):
            scores[token] = scores[token] / 1.5 if scores[token] > 0 else scores[token] * 1.5
        scores = scores / 1.4
        kept = scores >= torch.topk(scores, 3).values[-1]
        return torch.softmax(torch.where(kept, scores, -torch.inf), dim=0).tolist()

    first = law(PROMPT)
    return {
        (one, two): first[one] * second
        for one in range(VOCABULARY)
        if first[one] > 0
        for two, second in enumerate(law([*PROMPT, one]))
        if second > 0
    }


def pooled_p_value(drawn, exact):
    from scipy import stats

    cells = sorted(exact, key=lambda pair: exact[pair])
    observed, expected = [0.0], [0.0]
    for cell in cells:
        if expected[-1] >= 10.0:
            observed.append(0.0)
            expected.append(0.0)
        observed[-1] += sum(tuple(pair) == cell for pair in drawn)
        expected[-1] += exact[cell] * len(drawn)
    return stats.chisquare(observed, expected).pvalue


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_beams": 2}, "num_beams 2"),
        ({"return_dict_in_generate": True, "output_scores": True}, "output_scores"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha.*another law"),
        ({"dola_layers": "low"}, "dola_layers"),
        ({"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens.*drafter='ngram'"),
        ({"assistant_model": "model"}, "assistant_model.*speclight.Model"),
        ({"streamer": SimpleNamespace(put=print, end=print)}, "streamer.*on_call"),
        ({"batch_size": 0}, "batch_size"),
        ({"node_budget": 8.0}, "node_budget.*write 8"),
        ({"drafter": 7}, "drafter 7"),
        ({"inputs_embeds": torch.zeros(1, len(PROMPT), 16)}, "inputs_embeds"),
        ({"position_ids": torch.arange(3, 3 + len(PROMPT))[None]}, r"position_ids \[3, 4, .* for row 0"),
    ],
)
def test_what_is_not_speculative_decoding_is_refused(model, options, reason):
    with pytest.raises(InvalidInput, match=reason):
        generated(model, max_new_tokens=3, custom_generate=speclight.transformers_generate, **options)


def test_stop_strings_are_refused_by_transformers_itself(model):
    options = {"custom_generate": speclight.transformers_generate, "tokenizer": word_tokenizer(VOCABULARY)}
    with pytest.raises(ValueError, match="stop strings"):
        generated(model, max_new_tokens=3, stop_strings=["t1"], **options)


def test_a_wrapped_model_generates_streams_and_converses():
    target = speclight.wrap(
        tiny_llama(VOCABULARY, seed=4, window=512).double(), word_tokenizer(VOCABULARY), name="toy"
    )
    text = speclight.generate(target, "t1 t2 t3", max_tokens=20, seed=3).text
    assert "".join(speclight.stream(target, "t1 t2 t3", max_tokens=20, seed=3)) == text
    chat = Conversation(target, max_tokens=20, temperature=0)
    chat.say("t1 t2 t3")
    held = chat.tokens_held
    second = chat.say("t4 t5")
    messages = [*chat.messages[:3]]
    fresh = Conversation(target, max_tokens=20, temperature=0)
    fresh.messages = messages[:2]
    assert fresh.say("t4 t5").token_ids == second.token_ids
    assert held > 20
