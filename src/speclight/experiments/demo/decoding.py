"""Speculative decoding of real prompts, and its summary beside plain decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.divergence import first_divergence
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.drafting.protocol import Drafter
from speclight.experiments.demo.record import DecodingSummary
from speclight.measure.estimates import ratio_of_totals, within
from speclight.measure.looping import looping_tokens
from speclight.measure.paired_times import TimedPrompt, speed_up, tokens_per_second
from speclight.measure.prompts import Prompt
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.verification.rules import rule_named

OWN_LOOP, TRANSFORMERS = "speclight, no drafter", "transformers generate"
PLAIN_DECODERS = (OWN_LOOP, TRANSFORMERS)


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


def summarise(
    family: str,
    settings: DecodeSettings,
    drafter: str,
    rule: str,
    decoded: Sequence[DecodedPrompt],
    timed: Sequence[TimedPrompt],
    divergences: Divergences | None,
) -> DecodingSummary:
    """The summary of one family decoded with one drafter, timed in turn with the plain decoders."""
    calls = [(item.prompt.prompt_id, call) for item in decoded for call in item.generation.calls]
    tokens = sum(len(item.generation.token_ids) for item in decoded)
    plain = {name: tokens_per_second(timed, name) for name in PLAIN_DECODERS}
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
        tokens_per_second=tokens_per_second(timed, drafter),
        plain_tokens_per_second=max(plain.values()),
        plain_decoders=plain,
        speed_up=speed_up(timed, drafter, PLAIN_DECODERS),
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
