"""Slips at the Python interface: each is an error that says what was got, what was expected, what to do."""

import math
import re

import numpy as np
import pytest

import speclight
from speclight.decoding.settings import DecodeSettings
from speclight.models.sampling_settings import SamplingSettings
from toys import tiny_llama, tiny_target, word_tokenizer

MODEL = tiny_llama(5, seed=1)
TARGET = tiny_target(5, seed=1)
TOKENIZER = word_tokenizer(5)
TEXT = "t1 t2 t3"
MESSAGES = [{"role": "user", "content": TEXT}]


def generate(prompt=TEXT, target=TARGET, **options):
    return speclight.generate(target, prompt, raw=True, **{"max_tokens": 3, **options})


def batch(prompts, target=TARGET, **options):
    return speclight.generate_batch(target, prompts, raw=True, **{"max_tokens": 3, **options})


# What is called -> what the message says was got, and what to do.
SLIPS = {
    "a batch of one text": (lambda: batch(TEXT), "the text 't1 t2 t3'", r"\[text\], or use generate"),
    "a batch of nothing iterable": (lambda: batch(7), "prompts 7", r"\[text\]"),
    "a batch of a mapping": (lambda: batch({"a": TEXT}), "prompts {", r"\[text\]"),
    "a batch with None": (lambda: batch([TEXT, None]), "a NoneType", "give a string"),
    "a batch with an empty text": (lambda: batch([TEXT, ""]), "empty", "some text"),
    "a list of prompts": (lambda: generate([TEXT, TEXT]), "a list", "generate_batch"),
    "a tuple of prompts": (lambda: generate((TEXT,)), "a tuple", "generate_batch"),
    "messages": (lambda: generate(MESSAGES), "a list", "Conversation"),
    "token ids": (lambda: generate([1, 2, 3]), "a list", "text, not token ids"),
    "bytes": (lambda: generate(b"t1"), "a bytes", "decode it first"),
    "None as prompt": (lambda: generate(None), "a NoneType", "give a string"),
    "an empty prompt": (lambda: generate(""), "empty", "some text"),
    "a plain model": (lambda: generate(target=MODEL), "a LlamaForCausalLM", "speclight.wrap"),
    "a name as target": (lambda: generate(target="gpt2"), "'gpt2' as target", r"speclight.load\('gpt2'\)"),
    "a class as target": (lambda: generate(target=type(TARGET)), "the class CausalLM", "speclight.load"),
    "no target": (lambda: generate(target=None), "a NoneType as target", "speclight.load"),
    "seed None": (lambda: generate(seed=None), "seed .*None", "give one"),
    "a negative seed": (lambda: generate(seed=-1), "-1", "larger"),
    "a seed of 1.0": (lambda: generate(seed=1.0), "1.0", "write 1"),
    "2.5 tokens": (lambda: generate(max_tokens=2.5), "2.5", "whole number"),
    "no tokens": (lambda: generate(max_tokens=0), "got 0", "larger"),
    "None tokens": (lambda: generate(max_tokens=None), "None", "whole number"),
    "tokens as text": (lambda: generate(max_tokens="3"), "'3'", "whole number"),
    "a budget of 8.0": (lambda: generate(node_budget=8.0), "8.0", "write 8"),
    "a budget of True": (lambda: generate(node_budget=True), "True", "whole number"),
    "a budget of nothing": (lambda: generate(node_budget=0), "got 0", "larger"),
    "a budget of 100000": (lambda: generate(node_budget=100_000), "100000", "at most"),
    "a top-k of 2.0": (lambda: generate(top_k=2.0), "2.0", "leave it out"),
    "a top-k of 0": (lambda: generate(top_k=0), "got 0", "leave it out"),
    "a top-p above 1": (lambda: generate(top_p=1.5), "1.5", "leave it out"),
    "a top-p as text": (lambda: generate(top_p="0.9"), "'0.9'", "leave it out"),
    "a negative temperature": (lambda: generate(temperature=-1), "-1", "0 is greedy"),
    "temperature nan": (lambda: generate(temperature=math.nan), "nan", "0 is greedy"),
    "temperature None": (lambda: generate(temperature=None), "None", "0 is greedy"),
    "temperature as text": (lambda: generate(temperature="hot"), "'hot'", "0 is greedy"),
    "a penalty of 0": (lambda: generate(repetition_penalty=0), "0", "1 is no penalty"),
    "a penalty None": (lambda: generate(repetition_penalty=None), "None", "1 is no penalty"),
    "an empty stop string": (lambda: generate(stop=""), "''", "give one or a list"),
    "numbers as stop": (lambda: generate(stop=[1]), r"\(1,\)", "give one or a list"),
    "one number as stop": (lambda: generate(stop=1), "stop 1", "give one or a list"),
    "bytes as stop": (lambda: generate(stop=b"t"), "b't'", "give one or a list"),
    "one processor": (lambda: generate(processors=lambda ids, logits: logits), "function", r"processors=\["),
    "processors that are none": (lambda: generate(processors=[3]), "3", "LogitsProcessor"),
    "processors as text": (lambda: generate(processors="none"), "'none'", "leave it out"),
    "an unknown drafter": (lambda: generate(drafter="parrot"), "'parrot'", "ngram"),
    "a drafter of no kind": (lambda: generate(drafter=3), "drafter 3", "a name"),
    "no drafter": (lambda: generate(drafter=None), "drafter None", "a name"),
    "a model as drafter": (lambda: generate(drafter=TARGET), "CausalLM", "weights"),
    "a head that is a model": (lambda: generate(drafter=speclight.Eagle3(TARGET)), "CausalLM", "folder"),
    "choices in a list": (
        lambda: batch([TEXT], drafter=[speclight.NGram()]),
        r"NGram\(\) in a list",
        "for all texts",
    ),
    "no weights": (lambda: generate(drafter=speclight.Model(None)), "None as weights", "give one"),
    "weights of a number": (lambda: generate(drafter=speclight.Model(3)), "a int", "speclight.wrap"),
    "a plain model as weights": (
        lambda: generate(drafter=speclight.Model(MODEL)),
        "a LlamaForCausalLM",
        "speclight.wrap",
    ),
    "layers as text": (lambda: generate(drafter=speclight.LayerSkip("3")), "'3'", "whole number"),
    "two stages of a model": (
        lambda: generate(drafter=speclight.TwoStage(TARGET)),
        "CausalLM",
        r"TwoStage\(Model\(weights\)\)",
    ),
    "rates as text": (lambda: speclight.Static((0.5, "x")), "'x'", "a rate for each rank"),
    "one rate": (lambda: speclight.RankTree(0.5), "acceptance 0.5", "a rate for each rank"),
    "a shape of a number": (lambda: speclight.Shape(3), "choices 3", "give them as in"),
    "a shape of texts": (lambda: speclight.Shape(((0,), (0, "x"))), "'x'", "whole number"),
    "half a noise set": (lambda: speclight.Lists(2.5), "2.5", "whole number"),
    "a threshold as text": (lambda: speclight.Threshold("0.5"), "'0.5'", "between 0 and 1"),
    "a threshold of 0": (lambda: speclight.Threshold(0), "0.0", "between 0 and 1"),
    "limits of a number": (lambda: speclight.Eagle2(3), "limits 3", "leave them out"),
    "acceptance of a number": (lambda: speclight.ConfidenceTree(3), "acceptance 3", "RankTree"),
    "a number to load": (lambda: speclight.load(3), "a int", "its name or its folder"),
    "a model to load": (lambda: speclight.load(MODEL), "a LlamaForCausalLM", "speclight.wrap"),
    "a name to wrap": (lambda: speclight.wrap("gpt2", TOKENIZER), "a str as model", "speclight.load"),
    "a class to wrap": (lambda: speclight.wrap(type(MODEL), TOKENIZER), "the class Llama", "load it first"),
    "a wrapped model to wrap": (lambda: speclight.wrap(TARGET, TOKENIZER), "a CausalLM", "no wrapping"),
    "no tokenizer": (lambda: speclight.wrap(MODEL, None), "a NoneType as tokenizer", "AutoTokenizer"),
    "a set of prompts": (lambda: batch({TEXT}), "prompts {", r"\[text\]"),
    "a mapping as stop": (lambda: generate(stop={"a": 1}), "stop {", "give one or a list"),
    "settings of another kind": (
        lambda: speclight.profile(TARGET, [TEXT], settings=DecodeSettings()),
        "settings DecodeSettings",
        "leave them out",
    ),
    "an entropy as text": (lambda: speclight.bounds("x", 4.0, 8), "got x", "finite number"),
    "log-probabilities of one text": (
        lambda: speclight.limits_from_log_probs(3, 8, ended=False),
        "texts 3",
        r"\[text\]",
    ),
    "log-probabilities as text": (
        lambda: speclight.limits_from_log_probs([["x"]], 8, ended=False),
        "'x'",
        "natural logarithms",
    ),
    "names in a list": (lambda: batch([TEXT], drafter=["ngram"]), "'ngram'", "alone"),
    "an unknown rule": (lambda: generate(rule="coin"), "'coin'", "target_sample"),
    "no rule": (lambda: generate(rule=None), "rule None", "choose among"),
    "a class as rule": (lambda: generate(rule=type(speclight.RULES["race"])), "Race", "choose among"),
    "a tree by its name": (lambda: generate(tree="chain"), "'chain'", r"speclight.BestFirst\(\)"),
    "a misspelt option": (lambda: generate(temprature=0), "'temprature'", "did you mean temperature"),
    "an option of other libraries": (lambda: generate(do_sample=True), "'do_sample'", "leave it out"),
    "settings given to a stream": (
        lambda: speclight.stream(TARGET, TEXT, settings=DecodeSettings()),
        "'settings'",
        "one of",
    ),
    "a callback that is none": (lambda: generate(on_call=3), "on_call 3", "leave it out"),
    "a batch size of 0": (lambda: batch([TEXT], batch_size=0), "got 0", "larger"),
    "a batch size of 2.0": (lambda: batch([TEXT], batch_size=2.0), "2.0", "write 2"),
    "a stream of a list": (lambda: speclight.stream(TARGET, [TEXT]), "a list", "generate_batch"),
    "a chat with a plain model": (lambda: speclight.Conversation(MODEL), "a LlamaForCausalLM", "wrap"),
    "a chat with messages": (lambda: speclight.Conversation(TARGET).say(MESSAGES), "a list", "Conversation"),
    "a chat with an empty system": (lambda: speclight.Conversation(TARGET, system=""), "empty", "some text"),
    "a profile of a text": (lambda: speclight.profile(TARGET, TEXT), "'t1 t2 t3'", r"\[text\]"),
    "a profile of a plain model": (lambda: speclight.profile(MODEL), "a LlamaForCausalLM", "wrap"),
    "an oracle of a folder": (lambda: speclight.oracle(TARGET, "out"), "'out'", "speclight.profile"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_an_error_that_says_got_expected_and_remedy(slip):
    call, got, remedy = SLIPS[slip]
    with pytest.raises(speclight.SpeclightError) as caught:
        call()
    message = str(caught.value)
    assert re.search(got, message), message
    assert re.search(remedy, message), message
    assert re.search("expected|must be|known", message), message


def test_what_numpy_counts_is_a_count():
    made = generate(max_tokens=np.int64(3), node_budget=np.int32(4), seed=np.int64(2), top_k=np.int64(2))
    assert made.token_ids == generate(node_budget=4, seed=2, top_k=2).token_ids
    assert SamplingSettings(np.float32(0.5), np.int64(2)) == SamplingSettings(0.5, 2)
    assert type(SamplingSettings(top_k=np.int64(2)).top_k) is int
    assert type(DecodeSettings(node_budget=np.int64(2)).node_budget) is int
    penalty = np.float32(1.25)
    assert generate(repetition_penalty=penalty).token_ids == generate(repetition_penalty=1.25).token_ids
    assert speclight.Static(np.array([0.5, 0.25])) == speclight.Static((0.5, 0.25))


def test_none_leaves_stop_strings_processors_and_settings_out():
    plain = generate(seed=5)
    assert generate(seed=5, stop=None, processors=None, tree=None).token_ids == plain.token_ids
    assert generate(seed=5, top_k=None, top_p=None).token_ids == plain.token_ids


def test_a_generation_is_shown_in_one_line():
    made = generate(max_tokens=60, seed=1)
    assert len(repr(made)) < 160
    assert "60 tokens in" in repr(made)
    assert "length" in repr(made)
    assert repr(made.text[:60])[:-1] in repr(made)
