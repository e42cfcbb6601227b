"""From what a user writes to the token ids a model continues."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM


def prompt_token_ids(model: CausalLM, prompt: str, *, raw: bool = False) -> list[int]:
    """Token ids of one user turn in the model's chat template, or of the bare text where `raw` is set.

    Raises InvalidInput for an empty prompt, or for a model without a chat template unless `raw` is set.
    """
    if not prompt:
        raise InvalidInput("the prompt is empty, expected some text")
    if raw:
        return model.tokenizer.encode(prompt)
    return chat_token_ids(model, [{"role": "user", "content": prompt}])


def chat_token_ids(model: CausalLM, messages: Sequence[dict[str, str]]) -> list[int]:
    """Token ids of a conversation in the model's chat template, up to where the assistant starts to speak.

    messages: role ("user", "assistant", "system") and content each. Raises InvalidInput for a model without
    a chat template.
    """
    if model.tokenizer.chat_template is None:
        raise InvalidInput(
            f"{model.name} has no chat template, expected one; continue the bare text (raw) instead",
            argument="raw",
        )
    text = model.tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    assert isinstance(text, str)  # one conversation, not tokenised
    # The template writes every special token itself.
    return model.tokenizer.encode(text, add_special_tokens=False)
