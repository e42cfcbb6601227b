"""The public entry: prompt in, text and traces out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Unpack, cast

from speclight.checks import whole_number
from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import BATCH_SIZE, DecodeRequest, decode, decode_batch
from speclight.decoding.options import DecodeOptions, chosen_decoding
from speclight.decoding.settings import DecodeSettings
from speclight.decoding.stopping import FinishReason
from speclight.decoding.text_pieces import TextPieces
from speclight.drafting.protocol import Drafter
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.given_target import check_target
from speclight.models.prompting import prompt_token_ids
from speclight.models.scored_text import ScoredText
from speclight.verification.rule import VerifyRule

# Characters of a text that the repr of a generation shows.
SHOWN = 60


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        """In one line: the beginning of the text, and how it came about."""
        start = self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}..."
        return (
            f"Generation({start!r}, {len(self.token_ids)} tokens in {len(self.calls)} calls, "
            f"{self.finish_reason})"
        )

    @property
    def tokens_per_call(self) -> float:
        """Emitted tokens over target calls; the target's own token of each call counts, prefill does not."""
        return len(self.token_ids) / len(self.calls)


def generate(
    target: CausalLM,
    prompt: str,
    *,
    raw: bool = False,
    on_call: Callable[[CallTrace], None] | None = None,
    **options: Unpack[DecodeOptions],
) -> Generation:
    """Decode a continuation of `prompt` speculatively, with exactly the target's own law of texts.

    target: from `speclight.load` or `speclight.wrap`. raw: continue the bare text instead of answering it as
    a chat turn. on_call: called after every target call. options: who drafts, by which rule, what is sampled
    and where it stops, see `DecodeOptions`.
    Raises InvalidInput for values out of range or unknown names and ContextOverflow for too long a prompt.
    """
    decoding = chosen_decoding(**options)
    _check_call(target, on_call)
    ids = prompt_token_ids(target, prompt, raw=raw)
    (drafter,) = decoding.drafters(target, 1)
    target.check_text_fits(ids, "the prompt")
    return generate_from_ids(target, ids, drafter, decoding.rule, decoding.settings, on_call)


def generate_batch(
    target: CausalLM,
    prompts: Sequence[str],
    *,
    raw: bool = False,
    batch_size: int = BATCH_SIZE,
    on_call: Callable[[CallTrace], None] | None = None,
    **options: Unpack[DecodeOptions],
) -> list[Generation]:
    """`generate` for several prompts, one target call for all of them at a time; results in their order.

    Prompt number i (from 0) is decoded with seed `seed + i`: its text is that of
    `generate(target, prompts[i], seed=seed + i, ...)` with the same options.
    batch_size: texts under way at a time; when one ends, the next prompt takes its place. on_call: called
    with each text's trace of every call, `text_number` telling whose it is. Other arguments and errors: see
    `generate`.
    """
    decoding = chosen_decoding(**options)
    _check_call(target, on_call)
    batch_size = whole_number("batch_size", batch_size)
    ids = [prompt_token_ids(target, prompt, raw=raw) for prompt in _several(prompts)]
    drafters = decoding.drafters(target, len(ids))
    return generate_batch_from_ids(
        target, ids, drafters, decoding.rule, decoding.settings, batch_size, on_call
    )


def _several(prompts: object) -> list[str]:
    if isinstance(prompts, str):
        raise InvalidInput(
            f"got the text {prompts[:40]!r} as prompts, expected a list; write [text], or use generate"
        )
    if isinstance(prompts, Mapping | Set) or not isinstance(prompts, Iterable):
        raise InvalidInput(f"got prompts {prompts!r}, expected a list of texts; write [text]")
    return list(cast(Iterable[str], prompts))


def _check_call(target: object, on_call: object) -> None:
    check_target(target)
    if on_call is not None and not callable(on_call):
        raise InvalidInput(
            f"got on_call {on_call!r}, expected a function of a CallTrace; leave it out for none"
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
    target: CausalLM, prompt: str, *, raw: bool = False, **options: Unpack[DecodeOptions]
) -> Iterator[str]:
    """`generate` as an iterator over pieces of text, one or none for each target call.

    Decoding goes on only while pieces are taken. The pieces together are the text of all emitted tokens.
    Arguments and errors: see `generate`.
    """
    decoding = chosen_decoding(**options)
    _check_call(target, None)
    ids = prompt_token_ids(target, prompt, raw=raw)
    (drafter,) = decoding.drafters(target, 1)
    return _pieces(target, decode(target, drafter, decoding.rule, ids, decoding.settings))


def _pieces(target: CausalLM, traces: Iterable[CallTrace]) -> Iterator[str]:
    pieces = TextPieces(target)
    for trace in traces:
        if piece := pieces.add(trace.emitted_tokens):
            yield piece
    if piece := pieces.finish():
        yield piece
