"""What a template or a tokenizer cannot take is bad input, said in words."""

import pytest
from transformers import tokenization_utils_base

from speclight.decoding.generate import generate, generate_batch, stream
from speclight.errors import ContextOverflow, InvalidInput
from speclight.models.prompting import chat_token_ids, prompt_token_ids
from toys import tiny_target


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('System role not supported') }}",
        "{{ messages[7].content + 1 }}",
        "{% if %}",
        "{{ cycler() }}",
    ],
)
def test_errors_of_a_chat_template(template):
    target = tiny_target()
    target.tokenizer.chat_template = template
    with pytest.raises(InvalidInput, match="chat template of toy refused the messages"):
        chat_token_ids(target, [{"role": "system", "content": "t1"}])


@pytest.mark.parametrize("raw", [False, True])
def test_half_a_surrogate_pair_is_no_prompt(raw):
    with pytest.raises(InvalidInput, match="surrogate pair at character 1"):
        prompt_token_ids(tiny_target(), "a\ud800", raw=raw)


@pytest.mark.parametrize("raw", [False, True])
def test_a_text_far_too_long_is_refused_by_its_beginning(raw, monkeypatch):
    target = tiny_target(window=64)
    read = []
    encode = target.tokenizer.encode
    monkeypatch.setattr(
        target.tokenizer, "encode", lambda text, **options: read.append(len(text)) or encode(text, **options)
    )
    with pytest.raises(
        ContextOverflow, match=r"3,000,0.. characters, of which the first 1,024 are 34. tokens"
    ):
        prompt_token_ids(target, "t1 " * 1_000_000, raw=raw)
    assert read == [1024]


@pytest.mark.parametrize("text", ["t1" + " " * 100_000, "word" * 100_000, "t1 " * 63])
def test_a_text_that_fits_is_tokenised_however_many_characters_it_has(text):
    """A tokenizer may drop characters, and take many in one token."""
    target = tiny_target(window=64)
    assert prompt_token_ids(target, text, raw=True) == target.tokenizer.encode(text)


def test_no_warning_of_the_tokenizer_s_own_limit_leaks(monkeypatch):
    target = tiny_target(window=64)
    target.tokenizer.model_max_length = 8
    said = []
    monkeypatch.setattr(tokenization_utils_base.logger, "warning", said.append)
    assert len(prompt_token_ids(target, "t1 " * 20, raw=True)) == 20
    assert said == []
    target.tokenizer.encode("t1 " * 20)  # which would be seen
    assert len(said) == 1


@pytest.mark.parametrize("ids", [[0, 3], [-1], [0, 2, 10**9]])
def test_ids_past_the_embedding_are_refused(ids):
    unknown = next(token for token in ids if not 0 <= token < 3)
    with pytest.raises(InvalidInput, match=f"the token id {unknown}, expected 0 to 2"):
        tiny_target().check_text_fits(ids)


def test_a_tokenizer_with_more_ids_than_the_embedding_is_noticed_where_they_are_used():
    target = tiny_target()
    target.loaded.tokenizer.add_tokens(["extra"])
    options = {"raw": True, "max_tokens": 2, "drafter": "ngram"}
    assert generate(target, "t1 t2", **options).token_ids
    with pytest.raises(InvalidInput, match="token id 3"):
        generate(target, "t1 extra", **options)
    with pytest.raises(InvalidInput, match="prompt 1 holds the token id 3"):
        generate_batch(target, ["t1", "extra"], **options)
    with pytest.raises(InvalidInput, match="token id 3"):
        list(stream(target, "t1 extra", **options))
