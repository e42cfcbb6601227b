"""Speculative decoding of real prompts, timed beside plain decoding in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.divergence import first_divergence
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.drafting.protocol import Drafter
from speclight.experiments.demo.record import DecodingSummary
from speclight.measure.estimates import ratio_of_totals, within
from speclight.measure.looping import looping_tokens
from speclight.measure.prompts import Prompt
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.verification.rules import rule_named


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPrompt:
    """One prompt decoded by one decoder."""

    prompt: Prompt
    prompt_ids: list[int]
    generation: Generation


@dataclass(frozen=True, slots=True)
class Divergences:
    """Prompts whose greedy text left plain greedy decoding's: at a near tie, or anywhere else (a bug)."""

    near_tie: int
    other: int


def decode_prompts(
    model: CausalLM, prompts: Sequence[Prompt], drafter: str | Drafter, rule: str, settings: DecodeSettings
) -> list[DecodedPrompt]:
    """Decode the first turn of every prompt, each with its own seed derived from the settings' one.

    drafter: a name, for one with its default settings, or a drafter, which serves one prompt after the other.
    """
    verify_rule = rule_named(rule)
    drafter = drafter_for(model, drafter, verify_rule, settings.sampling)
    decoded: list[DecodedPrompt] = []
    for number, prompt in enumerate(prompts):
        ids = chat_token_ids(model, [{"role": "user", "content": prompt.turns[0]}])
        own = replace(settings, seed=settings.seed + number)
        generation = generate_from_ids(model, ids, drafter, verify_rule, own)
        decoded.append(DecodedPrompt(prompt, ids, generation))
    return decoded


def transformers_tokens_per_second(
    model: CausalLM, prompts: Sequence[Prompt], settings: DecodeSettings
) -> float:
    """Tokens per second of Transformers' own generate on the same prompts, prefill excluded.

    The first token comes with the prompt's pass, so it is left out on both sides of the ratio; end of text is
    suppressed so that exactly max_tokens are decoded. Neither changes the time of a token.
    """
    tokens, seconds = 0, 0.0
    # Typed as a module or tensor, because models look attributes up dynamically.
    generate: Callable[..., object] = model.model.generate  # pyright: ignore[reportAssignmentType]
    sampling = settings.sampling
    laws = (
        {"do_sample": False}
        if sampling.temperature == 0.0
        else {"do_sample": True, "temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
    )
    for prompt in prompts:
        ids = torch.tensor([chat_token_ids(model, [{"role": "user", "content": prompt.turns[0]}])])
        ids = ids.to(model.device)
        durations = []
        for wanted in (1, settings.max_tokens):
            started = time.perf_counter()
            generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=wanted,
                min_new_tokens=wanted,
                pad_token_id=0,
                **laws,
            )
            durations.append(time.perf_counter() - started)
        tokens += settings.max_tokens - 1
        seconds += durations[1] - durations[0]
    return tokens / seconds


def tokens_per_second(decoded: Sequence[DecodedPrompt]) -> float:
    """Emitted tokens over the time of all calls, totals over totals, prefill excluded."""
    tokens = sum(len(item.generation.token_ids) for item in decoded)
    return tokens / sum(item.generation.seconds for item in decoded)


def summarise(
    family: str,
    settings: DecodeSettings,
    drafter: str,
    rule: str,
    decoded: Sequence[DecodedPrompt],
    plain_decoders: dict[str, float],
    divergences: Divergences | None,
) -> DecodingSummary:
    """The summary of one family decoded with one drafter, beside the plain decoders' tokens per second."""
    calls = [(item.prompt.prompt_id, call) for item in decoded for call in item.generation.calls]
    tokens = sum(len(item.generation.token_ids) for item in decoded)
    speed, plain = tokens_per_second(decoded), max(plain_decoders.values())
    return DecodingSummary(
        family=family,
        temperature=settings.sampling.temperature,
        drafter=drafter,
        rule=rule,
        node_budget=settings.node_budget,
        prompts=len(decoded),
        tokens=tokens,
        calls=len(calls),
        tokens_per_call=within(
            ratio_of_totals(
                [name for name, _ in calls], [call.tokens_emitted for _, call in calls], [1.0] * len(calls)
            ),
            1.0,
            float(settings.node_budget),
        ),
        nodes_per_call=float(np.mean([len(call.tree) for _, call in calls])),
        tokens_per_second=speed,
        plain_tokens_per_second=plain,
        plain_decoders=plain_decoders,
        speed_up=speed / plain,
        looping_share=sum(looping_tokens(item.generation.token_ids) for item in decoded) / tokens,
        branching_calls=sum(call.has_branch for _, call in calls),
        divergences_near_tie=None if divergences is None else divergences.near_tie,
        divergences_other=None if divergences is None else divergences.other,
    )


def greedy_divergences(
    model: CausalLM, decoded: Sequence[DecodedPrompt], plain: Sequence[DecodedPrompt]
) -> Divergences:
    """Compare greedy texts prompt by prompt with plain decoding's; a first difference is classified."""
    found = [
        first_divergence(model, ours.prompt_ids, ours.generation.token_ids, theirs.generation.token_ids)
        for ours, theirs in zip(decoded, plain, strict=True)
    ]
    near_ties = [divergence.is_near_tie for divergence in found if divergence is not None]
    return Divergences(near_tie=sum(near_ties), other=len(near_ties) - sum(near_ties))
