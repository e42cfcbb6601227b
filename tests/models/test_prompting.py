"""What a template or a tokenizer cannot take is bad input, said in words."""

import pytest

from speclight.errors import InvalidInput
from speclight.models.prompting import chat_token_ids, prompt_token_ids
from toys import tiny_target


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('System role not supported') }}", "{{ messages[7].content + 1 }}", "{% if %}"],
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
