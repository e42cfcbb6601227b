"""From what a user writes to the token ids a model continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speclight.checks import check_text
from speclight.errors import ContextOverflow, InvalidInput

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM

# Of a long text, the characters read first for each token of the window, ...
CHARACTERS_READ = 16
# ... and how often their tokens fill it where the whole text's will for certain: a cut may part some of them.
CERTAINLY_TOO_MANY = 2


def prompt_token_ids(model: CausalLM, prompt: str, *, raw: bool = False) -> list[int]:
    """Token ids of one user turn in the model's chat template, or of the bare text where `raw` is set.

    Raises InvalidInput for an empty prompt, or for a model without a chat template unless `raw` is set, and
    ContextOverflow for a text that is too long even before its tokens are counted.
    """
    check_text("the prompt", prompt)
    if raw:
        return _encoded(model, prompt, add_special_tokens=True)
    return chat_token_ids(model, conversation([prompt]))


def conversation(turns: Sequence[str], answers: Sequence[str] = ()) -> list[dict[str, str]]:
    """The messages of a chat up to where the model speaks next: the user's turns, answered so far.

    turns: more than there are answers; those that wait for a later answer are left out.
    """
    messages: list[dict[str, str]] = []
    for turn, answer in zip(turns[: len(answers)], answers, strict=True):
        messages += [{"role": "user", "content": turn}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": turns[len(answers)]}]


def chat_token_ids(model: CausalLM, messages: Sequence[dict[str, str]]) -> list[int]:
    """Token ids of a conversation in the model's chat template, up to where the assistant starts to speak.

    messages: role ("user", "assistant", "system") and content each. Raises InvalidInput for a model without
    a chat template, and for messages that its template refuses; ContextOverflow as `prompt_token_ids`.
    """
    if model.tokenizer.chat_template is None:
        raise InvalidInput(
            f"{model.name} has no chat template, expected one; continue the bare text (raw) instead",
            argument="raw",
        )
    try:
        text = model.tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    except Exception as error:  # a template raises what it likes
        raise InvalidInput(
            f"the chat template of {model.name} refused the messages: {error}; expected roles and an order "
            "it allows: change them, or continue the bare text (raw) instead"
        ) from error
    assert isinstance(text, str)  # one conversation, not tokenised
    # The template writes every special token itself.
    return _encoded(model, text, add_special_tokens=False)


def _encoded(model: CausalLM, text: str, *, add_special_tokens: bool) -> list[int]:
    def tokens_of(part: str) -> list[int]:
        # Quiet: Transformers warns of the tokenizer's own limit; the model's window is checked with a reason.
        return model.tokenizer.encode(part, add_special_tokens=add_special_tokens, verbose=False)

    # Megabytes take minutes to tokenise, only to be too many: a beginning of them tells. Characters alone do
    # not, since a tokenizer may take many in one token, or drop them.
    characters = CHARACTERS_READ * model.context_window
    while characters < len(text):
        tokens = len(tokens_of(text[:characters]))
        if tokens > CERTAINLY_TOO_MANY * model.context_window:
            raise ContextOverflow(
                f"the prompt has {len(text):,} characters, of which the first {characters:,} are {tokens:,} "
                f"tokens already, too many for {model.window_name}; shorten it"
            )
        characters *= 4
    return tokens_of(text)
