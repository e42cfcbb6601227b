"""The public entry: prompt in, text and traces out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import BATCH_SIZE, DecodeRequest, decode, decode_batch
from speclight.decoding.logits_processors import LogitsProcessor
from speclight.decoding.settings import DecodeSettings
from speclight.decoding.stopping import FinishReason
from speclight.decoding.text_pieces import TextPieces
from speclight.drafting.drafters import drafter_maker
from speclight.drafting.protocol import Drafter
from speclight.drafting.settings import DrafterSettings
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftKind
from speclight.verification.rule import VerifyRule
from speclight.verification.rules import rule_named


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A decoded continuation and how it came about.

    token_ids: emitted tokens, what made decoding stop included. calls: one trace per target call.
    seconds: wall time of all calls, of calls shared with other texts this one's share; reading the prompt
    (prefill) comes on top and is prefill_seconds.
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
    drafter_settings: DrafterSettings | None = None,
    node_budget: int = 8,
    max_tokens: int = 128,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    processors: Sequence[LogitsProcessor] = (),
    stop: str | Sequence[str] = (),
    raw: bool = False,
    on_call: Callable[[CallTrace], None] | None = None,
) -> Generation:
    """Decode a continuation of `prompt` speculatively, with exactly the target's own law of texts.

    target: from `speclight.load` or `speclight.wrap`. drafter, rule: a name, or an object of your own.
    drafter_settings: how a drafter given by name drafts; by default with a kind of draft the rule verifies.
    node_budget: P, positions scored in one target call, root included. temperature, top_k, top_p,
    repetition_penalty, processors: the law that is sampled, see DecodeSettings; temperature 0 is greedy.
    stop: strings that end the text, the one met included. raw: continue the bare text instead of answering
    it as a chat turn. on_call: called after every target call.
    Raises InvalidInput for values out of range or unknown names and ContextOverflow for too long a prompt.
    """
    (generation,) = generate_batch(
        target,
        [prompt],
        drafter=drafter if isinstance(drafter, str) else [drafter],
        rule=rule,
        drafter_settings=drafter_settings,
        node_budget=node_budget,
        max_tokens=max_tokens,
        seed=seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        processors=processors,
        stop=stop,
        raw=raw,
        on_call=on_call,
    )
    return generation


def generate_batch(
    target: CausalLM,
    prompts: Sequence[str],
    *,
    drafter: str | Sequence[Drafter] = "ngram",
    rule: str | VerifyRule = "target_sample",
    drafter_settings: DrafterSettings | None = None,
    node_budget: int = 8,
    max_tokens: int = 128,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    processors: Sequence[LogitsProcessor] = (),
    stop: str | Sequence[str] = (),
    raw: bool = False,
    batch_size: int = BATCH_SIZE,
    on_call: Callable[[CallTrace], None] | None = None,
) -> list[Generation]:
    """`generate` for several prompts, one target call for all of them at a time; results in their order.

    Prompt number i (from 0) is decoded with seed `seed + i`: its text is that of
    `generate(target, prompts[i], seed=seed + i, ...)` with the same options.
    drafter: a name, or one object for each prompt. node_budget: of each text. batch_size: texts under way at
    a time; when one ends, the next prompt takes its place. on_call: called with each text's trace of every
    call, `text_number` telling whose it is. Other arguments and errors: see `generate`.
    """
    settings = DecodeSettings(
        node_budget=node_budget,
        max_tokens=max_tokens,
        seed=seed,
        sampling=SamplingSettings(temperature, top_k, top_p),
        repetition_penalty=repetition_penalty,
        processors=tuple(processors),
        stop_strings=(stop,) if isinstance(stop, str) else tuple(stop),
    )
    verify_rule = rule_named(rule) if isinstance(rule, str) else rule
    return generate_batch_from_ids(
        target,
        [prompt_token_ids(target, prompt, raw=raw) for prompt in prompts],
        drafters_for(target, drafter, verify_rule, settings.sampling, drafter_settings, len(prompts)),
        verify_rule,
        settings,
        batch_size,
        on_call,
    )


def generate_from_ids(
    target: CausalLM,
    prompt_ids: list[int],
    drafter: Drafter,
    rule: VerifyRule,
    settings: DecodeSettings,
    on_call: Callable[[CallTrace], None] | None = None,
    text: ScoredText | None = None,
) -> Generation:
    """`generate` for a prompt that is already a list of token ids. text: see `DecodeRequest`."""
    traces = decode(target, drafter, rule, prompt_ids, settings, text=text)
    (generation,) = _collected(target, traces, 1, on_call)
    return generation


def generate_batch_from_ids(
    target: CausalLM,
    prompts: Sequence[list[int]],
    drafters: Iterable[Drafter],
    rule: VerifyRule,
    settings: DecodeSettings,
    batch_size: int = BATCH_SIZE,
    on_call: Callable[[CallTrace], None] | None = None,
) -> list[Generation]:
    """`generate_batch` for prompts that are lists of token ids. drafters: one each, see `drafters_for`."""
    names = [f"prompt {number}" if len(prompts) > 1 else "the prompt" for number in range(len(prompts))]
    for prompt_ids, name in zip(prompts, names, strict=True):
        target.check_text_fits(prompt_ids, name)  # before any of them is decoded
    requests = (
        DecodeRequest(ids, drafter, replace(settings, seed=settings.seed + number), prompt_name=names[number])
        for number, (ids, drafter) in enumerate(zip(prompts, drafters, strict=True))
    )
    return _collected(target, decode_batch(target, rule, requests, batch_size), len(prompts), on_call)


def _collected(
    target: CausalLM,
    traces: Iterable[CallTrace],
    texts: int,
    on_call: Callable[[CallTrace], None] | None,
) -> list[Generation]:
    calls: list[list[CallTrace]] = [[] for _ in range(texts)]
    for trace in traces:
        calls[trace.text_number].append(trace)
        if on_call is not None:
            on_call(trace)
    return [_generation(target, tuple(own)) for own in calls]


def _generation(target: CausalLM, calls: tuple[CallTrace, ...]) -> Generation:
    token_ids = tuple(token for trace in calls for token in trace.emitted_tokens)
    reason = calls[-1].finish_reason
    assert reason is not None, "decoding ends with the call that says why"
    return Generation(
        text=target.text_of(token_ids),
        token_ids=token_ids,
        calls=calls,
        finish_reason=reason,
        seconds=sum(trace.seconds.total for trace in calls),
        prefill_seconds=calls[0].prefill_seconds,
    )


def stream(
    target: CausalLM,
    prompt: str,
    *,
    drafter: str | Drafter = "ngram",
    rule: str | VerifyRule = "target_sample",
    drafter_settings: DrafterSettings | None = None,
    settings: DecodeSettings | None = None,
    raw: bool = False,
) -> Iterator[str]:
    """`generate` as an iterator over pieces of text, one or none for each target call.

    Decoding goes on only while pieces are taken. The pieces together are the text of all emitted tokens.
    settings: DecodeSettings() if None. Other arguments and errors: see `generate`.
    """
    settings = DecodeSettings() if settings is None else settings
    verify_rule = rule_named(rule) if isinstance(rule, str) else rule
    prompt_ids = prompt_token_ids(target, prompt, raw=raw)
    chosen = drafter_for(target, drafter, verify_rule, settings.sampling, drafter_settings)
    pieces = TextPieces(target)
    for trace in decode(target, chosen, verify_rule, prompt_ids, settings):
        if piece := pieces.add(trace.emitted_tokens):
            yield piece
    if piece := pieces.finish():
        yield piece


def drafter_for(
    target: CausalLM,
    drafter: str | Drafter,
    rule: VerifyRule,
    sampling: SamplingSettings,
    settings: DrafterSettings | None = None,
) -> Drafter:
    """A drafter that fits rule and sampling, made from a name; an object is taken as it is.

    settings: by default those of a kind the rule verifies, deterministic where it can be. Their `sampling` is
    always the one being decoded. Raises InvalidInput as `drafter_maker` does.
    """
    if not isinstance(drafter, str):
        return drafter
    (made,) = drafters_for(target, drafter, rule, sampling, settings, 1)
    return made


def drafters_for(
    target: CausalLM,
    drafter: str | Sequence[Drafter],
    rule: VerifyRule,
    sampling: SamplingSettings,
    settings: DrafterSettings | None,
    texts: int,
) -> Iterable[Drafter]:
    """`drafter_for` each of several texts: drafters made from one name share their weights, not their state.

    Made one by one, as they are asked for. Raises InvalidInput, besides, for objects that are not as many
    different ones as there are texts.
    """
    if not isinstance(drafter, str):
        if len({id(one) for one in drafter}) != texts or len(drafter) != texts:
            raise InvalidInput(
                f"got {len(drafter)} drafter objects for {texts} texts, expected a different one for each: a "
                "drafter follows one text at a time; or give a drafter's name"
            )
        return drafter
    settings = DrafterSettings(kind=default_kind(rule)) if settings is None else settings
    make = drafter_maker(drafter, target, replace(settings, sampling=sampling))
    return (make() for _ in range(texts))


def default_kind(rule: VerifyRule) -> DraftKind:
    """The first kind of draft, in the order of `DraftKind`, that the rule verifies."""
    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    return next(kind for kind in kinds if kind in rule.draft_kinds)
