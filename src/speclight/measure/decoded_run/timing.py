"""Drafted and plain decoding of the same prompts, timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from transformers import Cache, DynamicCache, StoppingCriteriaList

from speclight.decoding.decode import DecodeSettings
from speclight.decoding.fitting_drafters import drafter_for
from speclight.drafting.protocol import Drafter
from speclight.measure.decoded_run.decoding import OWN_LOOP, TRANSFORMERS, DecodedPrompt, decode_turns
from speclight.measure.decoded_run.in_turn import answered_in_turn
from speclight.measure.paired_times import TimedPrompt, TimedRun
from speclight.measure.prompts import Prompt
from speclight.measure.turns import AskedTurn, first_turns
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.models.readings import Readings
from speclight.progress import Progress, silent
from speclight.verification.rules import rule_named

WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True, eq=False)
class TimedFamily:
    """Prompts decoded by drafters and plainly, in turn; one entry for every turn of a prompt.

    decoded: per decoder of ours, what it decoded in the first round; later rounds have the same seeds.
    """

    timed: tuple[TimedPrompt, ...]
    decoded: Mapping[str, list[DecodedPrompt]]


def time_in_turn(
    model: CausalLM,
    prompts: Sequence[Prompt],
    drafters: Sequence[str],
    rule: str,
    settings: DecodeSettings,
    rounds: int,
    progress: Progress = silent,
    readings: Readings | None = None,
) -> TimedFamily:
    """Decode each prompt with every drafter, with our plain loop and with Transformers' generate, in turn.

    All decode a turn of a prompt with the same seed (`AskedTurn.decoding_seed`), in every round, and after
    the same conversation: its answers are those of our plain loop. readings: read the prompts, once for all
    decoders, and may have read some before.
    """
    verify_rule = rule_named(rule)
    plain = replace(settings, node_budget=1, record_target_log_probs=False)
    of_decoder = {OWN_LOOP: ("none", plain), **{name: (name, settings) for name in drafters}}
    made = {
        name: drafter_for(model, drafter, verify_rule, own.sampling)
        for name, (drafter, own) in of_decoder.items()
    }
    readings = readings or Readings(model, _layers(made.values()))
    warm_up = first_turns(prompts[:1])  # the first call of all takes longer
    for name, (_, own) in of_decoder.items():
        decode_turns(model, warm_up, made[name], rule, replace(own, max_tokens=WARM_UP_TOKENS), readings)
    decoded: dict[str, list[DecodedPrompt]] = {name: [] for name in of_decoder}
    timed: list[TimedPrompt] = []

    def decode(name: str, asked: AskedTurn) -> TimedRun:
        (found,) = decode_turns(model, [asked], made[name], rule, of_decoder[name][1], readings)
        if len(decoded[name]) == len(timed):
            decoded[name].append(found)
        return TimedRun(len(found.generation.token_ids), found.generation.seconds)

    def plain_answer(_: object) -> str:
        return decoded[OWN_LOOP][-1].generation.text

    decoders: dict[str, Callable[[AskedTurn], TimedRun]] = {
        **{name: partial(decode, name) for name in of_decoder},
        TRANSFORMERS: lambda asked: transformers_run(model, asked, plain, readings),
    }
    for number, first in enumerate(first_turns(prompts), start=1):
        backwards = len(timed) % 2 == 1
        for asked, runs in answered_in_turn(first, decoders, plain_answer, rounds, backwards=backwards):
            timed.append(TimedPrompt(asked.prompt.prompt_id, runs))
        progress(number, len(prompts), "decoding, in turn with plain decoding")
    return TimedFamily(tuple(timed), decoded)


def transformers_run(
    model: CausalLM,
    asked: AskedTurn,
    settings: DecodeSettings,
    readings: Readings | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TimedRun:
    """One run of Transformers' own generate, prefill excluded.

    The first token comes with the prompt's pass, so it is left out of tokens and seconds; end of text is
    suppressed so that exactly max_tokens are decoded. Neither changes the time of a token. readings: may have
    read the prompt before. clock: in seconds.
    """
    # Typed as a module or tensor, because models look attributes up dynamically.
    generate: Callable[..., object] = model.model.generate  # pyright: ignore[reportAssignmentType]
    prompt = chat_token_ids(model, asked.messages)
    ids = torch.tensor([prompt]).to(model.device)
    temperature = settings.sampling.temperature
    laws = (
        {"do_sample": False}
        if temperature == 0.0
        else {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    )
    ticks: list[float] = []

    def note_time(input_ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
        ticks.append(clock())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    wanted = max(2, settings.max_tokens)
    generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=wanted,
        min_new_tokens=wanted,
        pad_token_id=0,
        stopping_criteria=StoppingCriteriaList([note_time]),
        **_begun(model, prompt, readings),
        **laws,
    )
    return TimedRun(len(ticks) - 1, ticks[-1] - ticks[0])


def _layers(drafters: Iterable[Drafter]) -> set[int]:
    return {layer for drafter in drafters for layer in drafter.hidden_layers}


def _begun(model: CausalLM, prompt: list[int], readings: Readings | None) -> dict[str, Cache]:
    """What was read, in Transformers' own cache; nothing for layers that keep a window of it only."""
    if readings is None or model.attention.window is not None or len(prompt) < 2:
        return {}
    cache = DynamicCache(config=model.model.config)
    for layer, (keys, values) in enumerate(readings.begun(prompt).cache.filled_slots()):
        cache.update(keys, values, layer)
    return {"past_key_values": cache}
