"""The public entry: prompt in, text and traces out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.drafters import drafter_named
from speclight.drafting.protocol import Drafter
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.verification.rule import VerifyRule
from speclight.verification.rules import rule_named

FinishReason = Literal["end_of_text", "length", "context_window"]


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A decoded continuation and how it came about.

    token_ids: emitted tokens, an end-of-text token included. calls: one trace per target call.
    seconds: wall time of all calls; reading the prompt (prefill) comes on top and is prefill_seconds.
    """

    text: str
    token_ids: tuple[int, ...]
    calls: tuple[CallTrace, ...]
    finish_reason: FinishReason
    seconds: float
    prefill_seconds: float

    @property
    def tokens_per_call(self) -> float:
        """Emitted tokens over target calls; the target's own token of each call counts, prefill does not."""
        return len(self.token_ids) / len(self.calls)


def generate(
    target: CausalLM,
    prompt: str,
    *,
    drafter: str | Drafter = "ngram",
    rule: str | VerifyRule = "target_sample",
    node_budget: int = 8,
    max_tokens: int = 128,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    raw: bool = False,
    on_call: Callable[[CallTrace], None] | None = None,
) -> Generation:
    """Decode a continuation of `prompt` speculatively, with exactly the target's own law of texts.

    target: from `speclight.load`. drafter, rule: a name, or an object of your own. node_budget: P, positions
    scored in one target call, root included. temperature, top_k, top_p: the law that is sampled; 0 is
    greedy. raw: continue the bare text instead of answering it as a chat turn. on_call: called after every
    target call, for streaming.
    Raises InvalidInput for values out of range or unknown names and ContextOverflow for too long a prompt.
    """
    settings = DecodeSettings(
        node_budget=node_budget,
        max_tokens=max_tokens,
        seed=seed,
        sampling=SamplingSettings(temperature, top_k, top_p),
    )
    return generate_from_ids(
        target,
        prompt_token_ids(target, prompt, raw=raw),
        drafter_named(drafter, target) if isinstance(drafter, str) else drafter,
        rule_named(rule) if isinstance(rule, str) else rule,
        settings,
        on_call,
    )


def generate_from_ids(
    target: CausalLM,
    prompt_ids: list[int],
    drafter: Drafter,
    rule: VerifyRule,
    settings: DecodeSettings,
    on_call: Callable[[CallTrace], None] | None = None,
) -> Generation:
    """`generate` for a prompt that is already a list of token ids."""
    started = time.perf_counter()
    calls: list[CallTrace] = []
    for trace in decode(target, drafter, rule, prompt_ids, settings):
        calls.append(trace)
        if on_call is not None:
            on_call(trace)
    seconds = sum(trace.seconds.total for trace in calls)
    token_ids = tuple(token for trace in calls for token in trace.emitted_tokens)
    return Generation(
        text=target.text_of(token_ids),
        token_ids=token_ids,
        calls=tuple(calls),
        finish_reason=_finish_reason(target, token_ids, settings.max_tokens),
        seconds=seconds,
        prefill_seconds=time.perf_counter() - started - seconds,
    )


def _finish_reason(target: CausalLM, token_ids: tuple[int, ...], max_tokens: int) -> FinishReason:
    if token_ids[-1] in target.end_of_text:
        return "end_of_text"
    return "length" if len(token_ids) == max_tokens else "context_window"
